# What an interrupted real run left behind is neither used nor removed.
echo "kept" > half.onnx.magnitude.round
pare prune model.onnx -o half.onnx --target macs=50% --strategy magnitude --no-refit --rounds 2 \
    --dry-run --quiet > /dev/null && cat half.onnx.magnitude.round && ls half.onnx 2> /dev/null
true
