pare inspect model.onnx --why layer9
