pare train model.onnx -o t.onnx --data cifar10 --class-weights nothing.txt
