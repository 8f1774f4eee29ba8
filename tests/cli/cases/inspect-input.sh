pare inspect duo.onnx --input image:1x3x64x96 | grep mask.head
pare inspect duo.onnx --input 1x3x64 
pare inspect duo.onnx --input 1x3xwide
pare inspect duo.onnx --input picture:1x3x64x64
