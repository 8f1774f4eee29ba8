#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fails when a folder of src/ includes what tools/layers.txt does not allow it, when a foreign header
# leaves its place, or when the command sees more than the public headers. usage: check-layers.sh [ROOT]
set -eu
cd "${1:-.}"
bad=0
complain() { echo "$*"; bad=1; }

for folder in $(ls src); do
    allowed=$(sed -n "s/^$folder:\{0,1\}//p" tools/layers.txt)
    grep -q "^$folder\(:\|\$\)" tools/layers.txt || complain "src/$folder is not in tools/layers.txt"
    for used in $(cat src/"$folder"/*.[ch] | sed -n 's,^#include "\([a-z_]*\)/.*,\1,p' | sort -u); do
        case " $folder $allowed " in
        *" $used "*) ;;
        *) complain "src/$folder includes $used/: $(grep -l "\"$used/" src/"$folder"/*.[ch] | tr '\n' ' ')" ;;
        esac
    done
done
fence() { # header pattern, folder
    for file in $(grep -rlE "#include <($1)" src cli include); do
        case $file in src/$2/*) ;; *) complain "$file includes $1; only src/$2 may" ;; esac
    done
}
fence 'dnnl' kernels
fence 'png\.h|jpeglib\.h|webp/.*' data
for file in $(grep -rlE '#include [<"](onnx/onnx\.pb-c\.h)' src cli); do
    case $file in src/onnx/*) ;; *) complain "$file includes the generated ONNX header" ;; esac
done
for file in $(grep -lE '#include "[a-z_]*/' cli/*.[ch]); do
    complain "$file includes an internal header"
done
for name in $(find src cli -name '*.[ch]' | sed 's,.*/,,' | sort | uniq -d); do
    complain "two files are named $name"
done
[ "$bad" -eq 0 ] && echo "layers are as tools/layers.txt says"
exit "$bad"
