#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ResNet-56 on CIFAR-10 to 47.2 % of its MACs, then 10 epochs with distillation on the 20 000 training
# images: every strategy given. usage: resnet56_training.sh PARE SHARED OUTDIR [STRATEGY ...]
set -eu
pare=$1 shared=$2 out=$3
shift 3
[ $# -gt 0 ] || set -- ml local-ml random magnitude bn-scale taylor fisher
mkdir -p "$out"
for strategy; do
    "$pare" prune "$shared/models/resnet56_cifar10.onnx" -o "$out/trained-$strategy.onnx" \
        --target macs=47.2% --align 1 --strategy "$strategy" --epochs 10 --distill 0.9 --lr 0.02 \
        --train-batch 128 --augment flip,crop=4 --val-fraction 0.02 --data "$shared/data/cifar10" \
        --preprocess cifar10 --no-latency --force 2> "$out/trained-$strategy.log" \
        > "$out/trained-$strategy.txt"
    printf '%-10s %s\n' "$strategy" "$(grep '^accuracy' "$out/trained-$strategy.txt")"
done
