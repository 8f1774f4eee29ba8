# A log is never replaced unasked, nor begun by a training that does not start.
echo dear > t.jsonl
pare train model.onnx -o t.onnx --data cifar10 --epochs 1 --log t.jsonl
cat t.jsonl
pare train absent.onnx -o t.onnx --data cifar10 --epochs 1 --log new.jsonl
[ -e new.jsonl ] && echo "a log of nothing"
# Without a fraction the data's own validation images still choose the epoch.
train="pare train model.onnx -o t.onnx --preprocess cifar10 --epochs 1 --force --quiet --json"
$train --val-fraction 0 --data data | grep -c '"best_val_nll": [0-9]'
$train --val-fraction 0 --data cifar10 | grep -c '"best_val_nll": null'
# A run that stops for bad numbers leaves what it had, with the shape the file had.
pare new lenet5 -o lenet.onnx --seed 1 --quiet > lenet.out
pare train lenet.onnx -o stopped.onnx --data cifar10 --preprocess cifar10 --epochs 6 --lr 100 \
    --schedule constant --warmup 3 --input 4x3x32x32 --quiet 2>&1 | grep -c 'weights of epoch'
pare inspect stopped.onnx | grep '^input'
# What training would refuse hours later is refused before pruning.
prune="pare prune model.onnx -o half.onnx --target macs=50% --data cifar10 --epochs 1"
$prune --schedule sawtooth 2>&1 | head -n 1
$prune --optimizer lion 2>&1 | head -n 1
$prune --reconstruct 4294967296 2>&1 | head -n 1
$prune --recover labels --lr -1 2>&1 | head -n 1
[ -e half.onnx ] && echo "a model all the same"
true
