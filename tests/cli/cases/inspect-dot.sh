pare new lenet-300-100 -o lenet.onnx --input 1x28x28 > /dev/null && pare inspect lenet.onnx --dot
