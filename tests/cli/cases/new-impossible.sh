pare new unet -o x.onnx --input 3x50x50
pare new resnet20 -o x.onnx --classes 0
pare new resnet20 -o x.onnx --input 32
pare new resnet20 -o x.onnx --input 3x1x1
pare new resnet20
test ! -e x.onnx
