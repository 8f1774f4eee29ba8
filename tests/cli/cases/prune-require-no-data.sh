pare prune model.onnx -o half.onnx --target macs=50% --strategy magnitude --require 'macs<=60%'
