#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The whole path on made data: draw images, train a two-headed network, prune it with three strategies
# over several rounds, compare with the original, write the report. usage: demo.sh PARE FOLDER
set -eu
pare=$1
dir=$2
start=$(date +%s)

say() { printf '\n== %s\n' "$*"; }
run() { printf '$ pare %s\n' "$*"; "$pare" "$@"; }

mkdir -p "$dir"
say "1. images of ten shapes, each with a class and a mask"
run synth "$dir/shapes" --seed 1 --force
say "2. a network with a class head and a mask head on one trunk, trained from scratch"
run new duo -o "$dir/new.onnx" --classes 10 --input 3x48x48 --seed 1 --force
run train "$dir/new.onnx" -o "$dir/original.onnx" --data "$dir/shapes" --epochs 12 --batch 16 \
    --lr 0.05 --mask-loss ce+dice --mask-weight 3 --augment flip,crop=3 --seed 1 --force
say "3. to 40 % of its multiply-accumulates: ml, and for comparison local-ml and random"
code=0
run prune "$dir/original.onnx" -o "$dir/small.onnx" --target macs=40% --strategy ml \
    --against local-ml,random --rounds 3 --epochs 3 --final-epochs 5 --distill 0.7 --lr 0.03 \
    --train-batch 16 --mask-loss ce+dice --mask-weight 3 --augment flip,crop=3 --data "$dir/shapes" --seed 1 \
    --require 'accuracy>=-1%,miou>=-3%,macs<=40%' \
    --report "$dir/report.html" --plot "$dir/tradeoff.svg" --force || code=$?
[ "$code" -eq 0 ] || [ "$code" -eq 3 ] || exit "$code"
say "done in $(($(date +%s) - start)) s: open $dir/report.html"
