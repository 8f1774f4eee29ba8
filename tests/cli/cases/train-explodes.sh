pare train model.onnx -o t.onnx --data cifar10 --epochs 3 --lr 1e30 --schedule constant --quiet
