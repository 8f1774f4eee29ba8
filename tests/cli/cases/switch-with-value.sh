pare inspect model.onnx --json=yes
