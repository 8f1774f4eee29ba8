#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# label_noise.sh [PARE [MNIST [IMAGES [EPOCHS [SEEDS]]]]] - finding planted wrong labels.
#
# Makes one in ten of the training labels of MNIST wrong (another class, drawn evenly), trains LeNet-5
# with --noise-report, and counts which of the planted are listed; then trains with --trim 10% and
# with the right labels. Test accuracy is that of the 10 000 test images, whose labels are right.
# Prints rows of a Markdown table, one a seed.
set -u
pare=${1:-build/release/pare}
mnist=${2:-../shared/data/mnist}
images=${3:-60000}
epochs=${4:-8}
seeds=${5:-1 2 3}
case $pare in /*) ;; *) pare=$PWD/$pare ;; esac
case $mnist in /*) ;; *) mnist=$PWD/$mnist ;; esac
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
cd "$folder" || exit 1

# plant SEED: the training labels with one in ten wrong, and the numbers of those.
plant() {
    rm -rf noisy
    mkdir noisy
    for file in "$mnist"/*; do ln -s "$file" noisy/; done
    rm noisy/train-labels*
    gzip -dc "$mnist"/train-labels-idx1-ubyte.gz | od -An -v -tu1 -w1 |
        awk -v seed="$1" -v list=planted '
            BEGIN { srand(seed) }
            NR > 8 && rand() < 0.1 { $1 = ($1 + 1 + int(rand() * 9)) % 10; print NR - 9 > list }
            { printf "\\0%o", $1; if (NR % 500 == 0) printf "\n" }
            END { printf "\n" }' |
        while IFS= read -r line; do printf '%b' "$line"; done > noisy/train-labels-idx1-ubyte
}

# run NAME DATA SEED OPTIONS: trains, and prints the test accuracy in percent.
run() {
    name=$1
    data=$2
    seed=$3
    shift 3
    "$pare" train lenet.onnx -o "$name.onnx" --data "$data" --limit "$images" --val-fraction 0 \
        --epochs "$epochs" --augment crop=2 --seed "$seed" --force --quiet "$@" > "$name.out" || exit 1
    "$pare" eval "$name.onnx" --data "$mnist" --split test --json --quiet |
        awk '/"accuracy"/ { gsub(/[^0-9.]/, "", $2); printf "%.2f", 100 * $2; exit }'
}

echo "| seed | planted | listed | precision | recall | of the first as many as planted | right labels | wrong labels | trimmed | left out | of these planted |"
echo "|---|---|---|---|---|---|---|---|---|---|---|"
for seed in $seeds; do
    "$pare" new lenet5 -o lenet.onnx --input 1x28x28 --seed "$seed" --force --quiet > new.out || exit 1
    plant "$seed"
    right=$(run right "$mnist" "$seed") || exit 1
    wrong=$(run wrong noisy "$seed" --noise-report doubtful.tsv) || exit 1
    trimmed=$(run trimmed noisy "$seed" --noise-report left.tsv --trim 10%) || exit 1
    awk -v images="$images" -v seed="$seed" -v right="$right" -v wrong="$wrong" -v trimmed="$trimmed" '
        FILENAME == "planted" { if ($1 < images) { is_planted[$1] = 1; planted++ } next }
        FNR == 1 { next }
        FILENAME == "doubtful.tsv" {
            listed++
            found += is_planted[$1]
            if (listed <= planted) first += is_planted[$1]
            next
        }
        $7 == "yes" { gone++; gone_planted += is_planted[$1] }
        END {
            printf "| %d | %d | %d | %.3f | %.3f | %.3f | %s | %s | %s | %d | %d |\n", seed, planted, listed,
                found / listed, found / planted, first / planted, right, wrong, trimmed, gone, gone_planted
        }' planted doubtful.tsv left.tsv
done
