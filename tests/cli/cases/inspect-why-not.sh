pare inspect model.onnx --why fc
