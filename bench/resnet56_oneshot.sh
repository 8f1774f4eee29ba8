#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ResNet-56 on CIFAR-10 before any training: every strategy, with and without each recovery step, 1 024
# calibration images, scored on the 8 000 test images.
# usage: [STRATEGIES="ml random"] [STEPS="cut refit all"] resnet56_oneshot.sh PARE SHARED OUTDIR [TARGET ...]
set -eu
pare=$1 shared=$2 out=$3
shift 3
[ $# -gt 0 ] || set -- 47.2 38.9 25
mkdir -p "$out"

accuracy() { # model
    "$pare" eval "$1" --data "$shared/data/cifar10" 2> /dev/null | awk '/ accuracy/ {print $2}'
}

one() { # target strategy seed label options...
    target=$1 strategy=$2 seed=$3 label=$4
    shift 4
    name=$out/oneshot-$target-$strategy-$seed-$label
    "$pare" prune "$shared/models/resnet56_cifar10.onnx" -o "$name.onnx" --force --align 1 \
        --target "macs=$target%" --strategy "$strategy" --seed "$seed" --data "$shared/data/cifar10" \
        --preprocess cifar10 --no-compare --quiet "$@" > "$name.txt"
    printf '%-5s %-10s %-4s %-12s %s %% | %s | %s\n' "$target" "$strategy" "$seed" \
        "$label" "$(accuracy "$name.onnx")" \
        "$(awk '/^MACs/ {print $4 " % MACs"}' "$name.txt")" "$(grep 's: scores' "$name.txt")"
}

for target; do
    for strategy in ${STRATEGIES:-ml local-ml fisher taylor magnitude bn-scale random}; do
        seeds=0
        [ "$strategy" = random ] && seeds="0 1 2 3 4"
        for seed in $seeds; do
            for step in ${STEPS:-cut recalibrate fold refit all long}; do
                case $step in
                    cut) set -- --no-refit --no-fold --no-recalibrate ;;
                    recalibrate) set -- --no-refit --no-fold ;;
                    fold) set -- --no-refit --no-recalibrate ;;
                    refit) set -- --reconstruct -1 --no-recalibrate ;;
                    all) set -- --precision auto ;;
                    long) set -- --precision auto --reconstruct 60 ;;
                esac
                one "$target" "$strategy" "$seed" "$step" "$@"
            done
        done
    done
done
