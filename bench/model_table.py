# SPDX-License-Identifier: Apache-2.0
"""Every model of a folder: does it open, does pare compute what ONNX Runtime computes, what is prunable,
and does a pruned file compute the same in both.

usage: model_table.py PARE LIBPARE.so MODELS FOLDER [NAME ...]
Scratch files go to FOLDER, a Markdown table to standard output.
"""
import glob
import json
import os
import subprocess
import sys

import numpy
import onnxruntime

import engines

TARGET, SEEDS = "macs=70%", (1, 2, 3)
SHAPES = {"ppocr_mobile_v2_cls": {"x": [1, 3, 48, 192]},
          "yunet_n_dynamic": {"input": [1, 3, 320, 320]}}


def command(*words):
    """Exit code, JSON document or None, and the first line of standard error."""
    done = subprocess.run([*words, "--json", "--quiet"], capture_output=True, text=True)
    error = done.stderr.strip().splitlines()
    document = json.loads(done.stdout) if done.stdout.strip() else None
    return done.returncode, document, error[0].removeprefix("pare: ") if error else ""


def difference(library, path, shapes):
    """Largest difference of pare and ONNX Runtime on random inputs, relative to the output's range, to its
    largest value where all are about the same; absolute where all are below 0.001."""
    feeds, results = engines.random_feeds(shapes), []
    for runner in (engines.Pare(library, path, shapes), engines.Ort(path)):
        runner.set(feeds)
        runner.run()
        results.append(runner.results())
        runner.close()
    worst = 0
    for ours, theirs in zip(*results):
        if theirs.dtype.kind != "f":
            worst = max(worst, float((ours != theirs).any()))
            continue
        scale = theirs.max() - theirs.min()
        largest = abs(theirs).max()
        scale = 1 if largest < 1e-3 else scale if scale > 1e-3 * largest else largest
        worst = max(worst, float(abs(ours - theirs).max() / scale))
    return worst


def share(part, whole):
    return f"{100 * part / whole:.0f} %" if whole > 0 else "-"


def prune(pare, library, path, shapes, folder):
    """Results of all seeds: worst oracle and difference, or what went wrong."""
    oracles, differences = [], []
    stated = ",".join(f"{name}:{'x'.join(map(str, dims))}" for name, dims in shapes.items())
    for seed in SEEDS:
        out = f"{folder}/pruned.onnx"
        code, document, error = command(
            pare, "prune", path, "-o", out, "--force", "--target", TARGET, "--strategy", "random",
            "--seed", str(seed), "--align", "1", "--input", stated)
        if code != 0:
            return f"seed {seed}: {error}"
        oracles.append(document["runs"][0]["oracle"])
        differences.append(difference(library, out, shapes))
    return f"{len(SEEDS)} of {len(SEEDS)}; oracle {max(oracles):.0e}, to ONNX Runtime " \
           f"{max(differences):.0e}"


def row(pare, library, path, folder):
    name = os.path.basename(path).removesuffix(".onnx")
    shapes = SHAPES.get(name) or engines.shapes_of(path)
    inputs = ["--input", ",".join(f"{n}:{'x'.join(map(str, d))}" for n, d in shapes.items())
              ] if name in SHAPES else []
    code, seen, error = command(pare, "inspect", path, *inputs)
    if code != 0:
        return [name, f"no: {error}", "", "", "", "", ""]
    costs, prunable = seen["costs"], seen["prunable"]
    reasons = sorted(seen["reasons"], key=lambda r: -r["units"])
    main = f"{reasons[0]['text']} ({reasons[0]['units']} units)" if reasons else ""
    cells = [name, "yes"]
    try:
        cells.append(f"{difference(library, path, shapes):.0e}")
        pruned = prune(pare, library, path, shapes, folder)
    except RuntimeError as refusal:
        cells.append(f"refused: {str(refusal).splitlines()[0]}")
        pruned = "-"
    return cells + [share(prunable["parameters"], costs["parameters"]),
                    share(prunable["macs"], costs["macs"]), main, pruned]


def main():
    pare, library, source, folder, *names = sys.argv[1:]
    library = engines.Library(library)
    print(f"Differences are to ONNX Runtime {onnxruntime.__version__} on random inputs, relative to the "
          f"range of the output (absolute where it stays below 0.001); pruned with `--strategy random --target {TARGET} --align 1`, seeds "
          f"{', '.join(map(str, SEEDS))}, each worst of all seeds.\n")
    print("| model | opens | difference | parameters prunable | MACs prunable | "
          "main reason for the rest | pruned |\n|---|---|---|---|---|---|---|")
    for path in sorted(glob.glob(source + "/*.onnx")):
        if not names or os.path.basename(path).removesuffix(".onnx") in names:
            print("| " + " | ".join(row(pare, library, path, folder)) + " |", flush=True)


if __name__ == "__main__":
    main()
