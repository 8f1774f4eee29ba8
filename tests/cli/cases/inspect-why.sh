pare inspect model.onnx --why layer2.0.conv2
