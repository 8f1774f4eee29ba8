pare new duo -o two.onnx --input 3x48x48 --seed 1 --json && cmp two.onnx duo.onnx
