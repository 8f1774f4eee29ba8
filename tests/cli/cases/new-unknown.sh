pare new resnet21 -o x.onnx
