#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ResNet-56 on CIFAR-10 before any training: every strategy, with and without each recovery step, 1 024
# calibration images, scored on the 8 000 test images.
# usage: [STRATEGIES="ml random"] resnet56_oneshot.sh PARE SHARED OUTDIR [TARGET ...]
set -eu
pare=$1 shared=$2 out=$3
shift 3
[ $# -gt 0 ] || set -- 47.2 38.9 25
mkdir -p "$out"

one() { # target strategy seed label options...
    target=$1 strategy=$2 seed=$3 label=$4
    shift 4
    "$pare" prune "$shared/models/resnet56_cifar10.onnx" -o "$out/oneshot.onnx" --force \
        --target "macs=$target%" --align 1 --strategy "$strategy" --seed "$seed" --data "$shared/data/cifar10" \
        --preprocess cifar10 --no-compare --quiet "$@" > "$out/oneshot.txt"
    printf '%-5s %-10s %-4s %-12s %s | %s | %s\n' "$target" "$strategy" "$seed" "$label" \
        "$("$pare" eval "$out/oneshot.onnx" --data "$shared/data/cifar10" | awk '/ accuracy/ {print $2 " %"}')" \
        "$(awk '/^MACs/ {print $4 " % MACs"}' "$out/oneshot.txt")" \
        "$(grep 's: scores' "$out/oneshot.txt")"
}

for target; do
    for strategy in ${STRATEGIES:-ml local-ml fisher taylor magnitude bn-scale random}; do
        seeds=0
        [ "$strategy" = random ] && seeds="0 1 2 3 4"
        for seed in $seeds; do
            one "$target" "$strategy" "$seed" cut --no-refit --no-fold --no-recalibrate
            one "$target" "$strategy" "$seed" recalibrate --no-refit --no-fold
            one "$target" "$strategy" "$seed" fold --no-refit --no-recalibrate
            one "$target" "$strategy" "$seed" refit --reconstruct -1 --no-recalibrate
        done
        case $strategy in ml | local-ml | magnitude) one "$target" "$strategy" 0 all ;; esac
    done
done
