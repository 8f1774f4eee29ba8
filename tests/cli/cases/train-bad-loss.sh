pare train model.onnx -o t.onnx --data cifar10 --loss hinge --quiet
