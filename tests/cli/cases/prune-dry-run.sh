echo dear > half.onnx
pare prune model.onnx -o half.onnx --target macs=50% --strategy magnitude --no-refit --dry-run --quiet | grep written
cat half.onnx
