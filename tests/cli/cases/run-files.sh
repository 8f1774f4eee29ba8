# Two images give two rows; an output file of one image runs again as an array; masks are written.
pare run model.onnx --input data/test/images/00000.png --input data/test/images/00001.png \
    --preprocess cifar10 --top 1 -o two.npz --quiet | grep -v '%'
pare run duo.onnx --input data/test/images/00000.png --mask mask.png --quiet > /dev/null
head -c 8 mask.png | tail -c 7 | head -c 3
echo
pare run duo.onnx --input mask.png --input mask.npy
pare run duo.onnx --input data=mask.npy
pare run duo.onnx --input x=mask.npy
pare run duo.onnx --input data/test/images/00000.png --mask mask.png
