pare run duo.onnx --input data/test/images/00000.png --top 2 --json --quiet
