pare inspect duo.onnx --groups
