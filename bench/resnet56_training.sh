#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ResNet-56 on CIFAR-10 to 47.2 % of its MACs with all repairs on 1 024 images, then 10 epochs on the
# training images with the original as teacher: every strategy given.
# usage: resnet56_training.sh PARE SHARED OUTDIR [STRATEGY ...]
set -eu
pare=$1 shared=$2 out=$3
shift 3
[ $# -gt 0 ] || set -- ml local-ml random magnitude taylor bn-scale fisher
mkdir -p "$out"
model=$shared/models/resnet56_cifar10.onnx data=$shared/data/cifar10
for strategy; do
    "$pare" prune "$model" -o "$out/pruned-$strategy.onnx" --force --align 1 --target macs=47.2% \
        --strategy "$strategy" --data "$data" --preprocess cifar10 --precision auto --no-compare \
        --quiet > "$out/pruned-$strategy.txt"
    "$pare" train "$out/pruned-$strategy.onnx" -o "$out/trained-$strategy.onnx" --force \
        --data "$data" --teacher "$model" --epochs 10 --optimizer adamw --lr 0.001 --decay 0 \
        --batch 64 --distill 1 --distill-inner 100 --freeze-norm --augment flip,crop=4 \
        --precision auto --val-fraction 0 > "$out/trained-$strategy.txt" \
        2> "$out/trained-$strategy.log"
    "$pare" compare "$model" "$out/trained-$strategy.onnx" --data "$data" --preprocess cifar10 \
        --no-latency > "$out/compared-$strategy.txt"
    printf '%-10s %s\n' "$strategy" "$(grep '^accuracy' "$out/compared-$strategy.txt")"
done
