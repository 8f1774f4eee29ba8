#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a fuzzer of build/fuzz over a working copy of the corpus and further seeds.
#   tests/fuzz/run.sh fuzz_onnx|fuzz_images|fuzz_data SECONDS [FOLDER WITH SEEDS]...
# Seeds are files up to 64 KB below the folders; what is found stays in build/fuzz/found.
# FUZZ_MEMORY: MB (2048); FUZZ_TIMEOUT: seconds for one input (20).
set -eu
if [ $# -lt 2 ]; then
    sed -n '3,6s/^# //p' "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
name=$1
seconds=$2
shift 2
case $name in
fuzz_onnx) pattern='*.onnx' corpus=$here/corpus ;;
fuzz_data) pattern='*' corpus=$here/corpus_data ;;
*) pattern='*' corpus= ;;
esac
cmake -S "$root" --preset fuzz > /dev/null
cmake --build "$root/build/fuzz" --target "$name"
found=$root/build/fuzz/found/$name
mkdir -p "$found/corpus" "$found/artifacts"
for folder in "$@"; do
    # names repeat (model.onnx), contents do not
    find "$folder" -name "$pattern" -type f -size -64k | while read -r file; do
        cp "$file" "$found/corpus/seed-$(sha1sum < "$file" | cut -c1-16)"
    done
done
cd "$found"
OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive exec "$root/build/fuzz/tests/fuzz/$name" -max_total_time="$seconds" \
    -rss_limit_mb="${FUZZ_MEMORY:-2048}" -timeout="${FUZZ_TIMEOUT:-20}" -max_len=65536 \
    -print_final_stats=1 -artifact_prefix="$found/artifacts/" "$found/corpus" ${corpus:+"$corpus"}
