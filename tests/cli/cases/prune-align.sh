# Speed decides where MACs are the target or rounds delete; elsewhere every count is as good. The step is
# the machine's, and what is cut depends on it.
try() {
    pare prune model.onnx -o a.onnx --force --strategy magnitude --no-refit --quiet "$@" |
        grep '^channel counts' | sed -E 's/steps of (16|8|4) on/steps of STEP on/; s/, of [0-9].*/, .../'
}
try --target macs=50%
try --target params=50%
try --target params=50% --rounds 2
try --target macs=50% --action mask
try --target macs=50% --align 8
try --target macs=50% --align 1 --json
pare prune model.onnx -o a.onnx --force --strategy magnitude --no-refit --quiet --target macs=50% \
    --align 4 --json | grep -E '^      "align"'
pare prune model.onnx -o a.onnx --force --target macs=50% --align 0
pare prune model.onnx -o a.onnx --force --target macs=50% --align wide
