# No file is two things at once, none is lost, and what cannot be written is told before the work.
train() { pare train model.onnx --data cifar10 --preprocess cifar10 --epochs 1 --quiet "$@" > out.txt || echo "= $?" >&2; }
echo dear > dear.txt
cp model.onnx victim.onnx
train -o same.onnx --checkpoint same.onnx
train -o new.onnx --checkpoint model.onnx --force
train -o new.onnx --checkpoint dear.txt
train -o new.onnx --noise-report model.onnx --force
train -o new.onnx --noise-report dear.txt
train -o new.onnx --log new.onnx
train -o new.onnx --log dear.txt
train -o nowhere/new.onnx
train -o cifar10 --force
train -o new.onnx --checkpoint nowhere/state
cat dear.txt
cmp model.onnx victim.onnx && ls new.onnx 2> /dev/null || echo "nothing is written"
train -o victim.onnx --force && cmp -s model.onnx victim.onnx || echo "a model may be replaced"
