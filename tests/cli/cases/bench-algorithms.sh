# What is measured is written down once, and followed from then on.
XDG_CACHE_HOME=$PWD/cache
export XDG_CACHE_HOME
bench() { pare bench model.onnx --train --batch 32 --rounds 1 --threads 1 --quiet "$@"; }
algorithms() { bench --json "$@" | grep '"algorithm"'; }

pare bench model.onnx --batch 2 --rounds 1 --algorithms rule --quiet
algorithms --algorithms rule > rule.out
[ ! -e cache ] && echo "the rule leaves no file"
algorithms > measured.out
if ! grep -q avx2 /proc/cpuinfo; then # there is nothing to choose
    mkdir -p cache/pare
    printf 'batch = direct\n%.0s' 1 2 3 > cache/pare/none.txt
fi
cp cache/pare/*.txt choices.txt
echo "$(grep -c '^batch' choices.txt) shapes are written down"
algorithms > again.out
cmp measured.out again.out && cmp cache/pare/*.txt choices.txt && echo "measured once"
sed 's/= [a-z]*/= direct/' choices.txt > direct.txt
cp direct.txt "$(echo cache/pare/*.txt)"
echo "$(algorithms | grep -c direct) of $(grep -c algorithm rule.out) are direct"
mkdir other
echo > other/file
XDG_CACHE_HOME=$PWD/other/file
algorithms > unwritable.out
cmp rule.out unwritable.out && echo "by the rule where nothing can be written"
bench --algorithms quickest
