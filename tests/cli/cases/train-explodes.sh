pare train model.onnx -o t.onnx --data cifar10 --epochs 3 --batch 36 --val-fraction 0 --keep-last --lr 1e30 --schedule constant --quiet
