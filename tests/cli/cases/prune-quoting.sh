mv model.onnx "it's \$one.onnx"
pare prune "it's \$one.onnx" -o half.onnx --target macs=50% --strategy magnitude --no-refit --json --quiet | sed -n 's/^ *"command": //p'
