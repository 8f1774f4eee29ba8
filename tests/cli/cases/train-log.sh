pare train duo.onnx -o t.onnx --data data --epochs 1 --batch 20 --log t.jsonl --quiet > t.out
sed 's/"kind":"\([a-z]*\)"/\1/; s/:[^,}]*//g' t.jsonl
