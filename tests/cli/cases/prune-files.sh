# No file is two things at once, none that is not pare's is lost, and a state is not thrown away.
prune() { pare prune duo.onnx --target params=60% --strategy magnitude --data data --no-latency --limit 20 --no-refit --threads 1 --quiet "$@" > out.txt || echo "= $?" >&2; }
echo dear > tiny.onnx.magnitude.train
prune -o tiny.onnx --epochs 1
rm tiny.onnx.magnitude.train
cp model.onnx tiny.onnx.magnitude.round
prune -o tiny.onnx --epochs 1
cmp model.onnx tiny.onnx.magnitude.round && rm tiny.onnx.magnitude.round
cp duo.onnx own.onnx.magnitude.round
pare prune own.onnx.magnitude.round -o own.onnx --target params=60% --strategy magnitude --data data --epochs 1
prune -o tiny.onnx --epochs 1 --report tiny.onnx.magnitude.round --force
prune -o tiny.onnx --report tiny.onnx
# a run that failed in its first training, then another one
prune -o tiny.onnx --epochs 2 --lr 1e30 2> /dev/null
ls tiny.onnx.magnitude.round
prune -o tiny.onnx --epochs 3
prune -o tiny.onnx --epochs 1 --force && ls tiny.onnx*
pare run duo.onnx --input data/test/images/00000.png --mask data/test/images/00000.png --force
pare run duo.onnx --input data/test/images/00000.png -o y.npz --mask y.npz
