#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prunes a CIFAR-10 model with every strategy, with and without the re-fit, before any training.
# usage: bench/strategies.sh PARE MODEL.onnx DATA TARGET [options of pare prune]
set -eu
pare=$1 model=$2 data=$3 target=$4
shift 4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '%-10s %-10s %8s %8s %9s %8s\n' strategy recovery macs params accuracy seconds
number() { sed -n "s/.*\"$1\": \([0-9.e+-]*\).*/\1/p" "$2"; }
for strategy in random magnitude bn-scale taylor ml local-ml; do
    for recovery in none refit; do
        option=""
        [ "$recovery" = none ] && option=--no-refit
        # shellcheck disable=SC2086
        "$pare" prune "$model" -o "$work/m.onnx" --force --target "$target" --strategy "$strategy" \
            --data "$data" --preprocess cifar10 --json $option "$@" > "$work/prune.json"
        "$pare" eval "$work/m.onnx" --data "$data" --json > "$work/eval.json"
        awk -v s="$strategy" -v r="$recovery" -v m="$(number macs "$work/prune.json")" \
            -v m0="$(number macs_before "$work/prune.json")" -v p="$(number parameters "$work/prune.json")" \
            -v p0="$(number parameters_before "$work/prune.json")" \
            -v a="$(number accuracy "$work/eval.json")" -v t="$(number seconds "$work/prune.json")" \
            'BEGIN { printf "%-10s %-10s %7.1f%% %7.1f%% %8.2f%% %8.1f\n", s, r, 100*m/m0, 100*p/p0, 100*a, t }'
    done
done
