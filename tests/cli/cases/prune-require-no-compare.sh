pare prune model.onnx -o half.onnx --target macs=50% --data cifar10 --no-compare --require 'macs<=60%'
