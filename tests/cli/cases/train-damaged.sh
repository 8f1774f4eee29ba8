head -c 100 data/train/images/00007.png > cut && cp cut data/train/images/00007.png
pare train duo.onnx -o t.onnx --data data --size 48 --epochs 1 --batch 16 --quiet --verbose --seed 1 > /dev/null
