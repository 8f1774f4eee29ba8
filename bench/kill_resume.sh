#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# kill_resume.sh [PARE [KILLS]] - a run that is killed and resumed ends in the same bytes.
#
# Trains a small network once undisturbed; then KILLS times (default 10) again, killed at a random
# moment and resumed. Every second time the process may from a random moment on write no file that
# is larger than a piece of a checkpoint, so that it dies inside the writing of the next one. All
# files written must be the same, byte for byte.
set -u
pare=${1:-build/release/pare}
kills=${2:-10}
case $pare in /*) ;; *) pare=$PWD/$pare ;; esac
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
cd "$folder" || exit 1
XDG_CACHE_HOME=$folder/cache # of the algorithms that are chosen: not the user's
export XDG_CACHE_HOME
failures=0
inside=0

die() {
    echo "kill_resume.sh: $*" >&2
    exit 1
}

# The run under test with everything a checkpoint has to hold; $1 is its name, the rest is added.
train() {
    name=$1
    shift
    "$pare" train model.onnx -o "$name.onnx" --data data --epochs 6 --batch 16 --augment crop=2 \
        --optimizer adamw --schedule one-cycle --mask-loss ce+dice --ema 0.95 \
        --noise-report "$name.tsv" --trim 5% --trim-after 2 --seed 3 --quiet --threads 1 "$@" \
        > "$name.out" 2>> "$name.err"
}

# A random number of thousandths from $1 to $2.
random() {
    od -An -N2 -tu2 /dev/urandom | awk -v a="$1" -v b="$2" '{print int(a + (b - a) * $1 / 65536)}'
}

"$pare" synth data --train 160 --val 48 --test 16 --size 32 --quiet > synth.out || die "no images"
"$pare" new duo -o model.onnx --input 3x32x32 --seed 1 > new.out || die "no model"
begin=$(date +%s%N)
train whole || die "the undisturbed run failed: $(cat whole.err)"
whole=$((($(date +%s%N) - begin) / 1000000))
echo "undisturbed: $whole ms"

k=0
while [ "$k" -lt "$kills" ]; do
    k=$((k + 1))
    moment=$(($(random 50 850) * whole / 1000))
    # not through the function: the process itself is to be hit
    "$pare" train model.onnx -o run.onnx --data data --epochs 6 --batch 16 --augment crop=2 \
        --optimizer adamw --schedule one-cycle --mask-loss ce+dice --ema 0.95 \
        --noise-report run.tsv --trim 5% --trim-after 2 --seed 3 --quiet --threads 1 \
        > run.out 2> run.err &
    pid=$!
    sleep "$(awk -v ms=$moment 'BEGIN {print ms / 1000}')"
    if [ $((k % 2)) -eq 0 ] && prlimit --pid $pid --fsize=30000 2> prlimit.err; then
        how="died writing"
    else
        how="killed"
        kill -9 $pid 2> kill.err || how="had ended"
    fi
    wait $pid 2> wait.err
    code=$?
    rests=$(find . -name '*.tmp-*' | wc -l)
    inside=$((inside + (rests > 0)))
    [ -e run.onnx.checkpoint ] && from="its checkpoint" || from="the start"
    train run --resume --force || { cat run.err; failures=$((failures + 1)); }
    if cmp -s whole.onnx run.onnx && cmp -s whole.tsv run.tsv; then
        verdict="same bytes"
    else
        verdict="DIFFERENT"
        failures=$((failures + 1))
    fi
    if [ "$(find . -name 'run.onnx.checkpoint*' | wc -l)" -ne 0 ]; then
        echo "$k: unfinished checkpoints are left: $(ls)"
        failures=$((failures + 1))
    fi
    echo "$k: $how at $moment ms (exit $code, $rests unfinished files), resumed from $from: $verdict"
    rm -f run.* ./*.tmp-*
done
echo "$((kills - failures)) of $kills ended in the same bytes; $inside died inside a write"
[ "$failures" -eq 0 ]
