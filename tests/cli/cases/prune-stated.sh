# What is stated counts, or is refused before the work.
prune() { pare prune duo.onnx -o out.onnx --target params=60% --strategy magnitude --data data --epochs 1 --no-latency --no-compare --limit 40 --no-refit --algorithms rule --threads 1 --quiet "$@" > out.txt || echo "= $?" >&2; }
for options in "--lr 0" "--lr inf" "--distill nan" "--distill 2" "--distill-inner -1" "--mask-weight inf" \
    "--recover hints --distill 0.5" "--recover prayers" "--loss hinge --recover labels" "--mask-loss dice" "--against random,magnitude" "--latency-batch -5" "--strategy="; do
    prune $options
done
ls out.onnx* 2> /dev/null
pare prune duo.onnx -o out.onnx --target params=60% --strategy magnitude --limit 4
pare prune duo.onnx -o out.onnx --target params=60% --strategy magnitude --plot plot.svg
pare compare model.onnx small.onnx --data cifar10 --require 'size<=60%'
# the lines differ, so what the files say of how they were made does; weights stand in .npz
for way in "hints:--recover hints" "labels:--recover labels" "share0:--distill 0" "inner:--recover labels --distill-inner 5" \
    "inner0:--distill-inner 0" "inner100:--distill-inner 100"; do
    prune ${way#*:} && pare run out.onnx --input data/test/images/00000.png -o "${way%%:*}.npz" --threads 1 > out.txt && rm out.onnx
done
cmp -s hints.npz labels.npz || echo "hints are not labels"
cmp labels.npz share0.npz && echo "a share of 0 is labels"
cmp -s labels.npz inner.npz || echo "inner values count with labels"
cmp hints.npz inner100.npz && echo "100 is the default"
cmp -s inner0.npz hints.npz || echo "0 is none"
pare prune model.onnx -o sized.onnx --target bytes=600000 --strategy magnitude --align 1 --quiet > out.txt
size=$(wc -c < sized.onnx)
[ "$size" -le 600000 ] && [ "$size" -gt 594000 ] && echo "the file has the size that was asked for"
