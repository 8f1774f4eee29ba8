pare inspcet model.onnx
