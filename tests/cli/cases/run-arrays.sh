# Halves and doubles run as single precision, all rows are printed, every input wants one array.
npy() { # FILE TYPE SHAPE COUNT BYTES
    printf '\223NUMPY\1\0\166\0' > "$1"
    printf '%-117s\n' "{'descr': '$2', 'fortran_order': False, 'shape': $3, }" >> "$1"
    i=0
    while [ $i -lt "$4" ]; do printf "$5"; i=$((i + 1)); done >> "$1"
}
npy single.npy '<f4' '(2, 3)' 6 '\0\0\200\77'
npy half.npy '<f2' '(2, 3)' 6 '\0\74'
npy double.npy '<f8' '(2, 3)' 6 '\0\0\0\0\0\0\360\77'
npy long.npy '<i8' '(2, 3)' 6 '\1\0\0\0\0\0\0\0'
model=$PARE_SOURCE/tests/cli/models/two-inputs.onnx
for a in single half double long; do
    pare run $model --input a=$a.npy --input b=single.npy -o $a-out.npy --top 1
done
cmp half-out.npy single-out.npy && cmp double-out.npy single-out.npy && echo alike
pare run $model --input half.npy --input b=half.npy --top 1 --json | grep -c '"row"'
pare run $model --input a=single.npy
pare run $model --input a=single.npy --input single.npy --input b=single.npy
pare run $model --input a=single.npy --input b=single.npy --size 32x32 2>&1 | head -n 1
# What has no row for each image is not printed for several.
for i in 0 1 2; do cp data/test/images/0000$i.png $i.png; done
model=$PARE_SOURCE/tests/cli/models/no-rows.onnx
pare run $model --input 0.png --input 1.png --input 2.png --preprocess unit
pare run $model --input 0.png --preprocess unit --quiet > one.txt && head -n 1 one.txt
