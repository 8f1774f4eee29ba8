# A stated 0 is a 0, and what goes for nothing is refused.
train() { pare train duo.onnx -o out.onnx --data data --epochs 1 --algorithms rule --threads 1 --quiet "$@" > out.txt || echo "= $?" >&2; }
for option in "--lr 0" "--temperature 0" "--momentum -1" "--mask-weight -1" "--distill 0.3" "--distill-inner 1" "--trim-after 1"; do
    train $option
done
mv_to() { mv out.onnx "$1.onnx"; }
train --mask-weight 0 && mv_to no-mask
train && mv_to plain
train --teacher plain.onnx --distill 0 && mv_to no-share
train --teacher plain.onnx && mv_to share
cmp -s no-mask.onnx plain.onnx || echo "the mask head is off"
cmp plain.onnx no-share.onnx && echo "labels alone"
cmp -s plain.onnx share.onnx || echo "labels and teacher"
train --split all --val-fraction 0.2
pare train duo.onnx -o all.onnx --data data --split all --epochs 1 > out.txt 2> err.txt
grep note err.txt
pare bench model.onnx --recompute
