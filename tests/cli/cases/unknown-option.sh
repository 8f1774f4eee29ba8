pare inspect model.onnx --gruops
