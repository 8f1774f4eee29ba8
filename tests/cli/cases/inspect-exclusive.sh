pare inspect model.onnx --all --json
