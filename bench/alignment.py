# SPDX-License-Identifier: Apache-2.0
"""Latency by channel count, for choosing the default of `pare prune --align`.

usage: alignment.py PARE LIBPARE.so MODELS FOLDER
Run it pinned to one core with the Python of environment.sh; scratch files go to FOLDER, the tables to
standard output. Every number is the median of interleaved runs, processor time of one thread, with
quartiles in brackets.
"""
import subprocess
import sys

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import engines

COUNTS = [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 26, 28, 30, 31, 32, 33, 34, 36,
          40, 44, 47, 48, 49, 52, 56, 60, 63, 64]
SIZE, LAYERS, ROUNDS = 28, 4, 60
MODELS = [("resnet56_cifar10", [1, 3, 32, 32], 40),
          ("mobilenetv2_1.0_224_imagenet_deq", [1, 3, 224, 224], 20)]
ALIGNMENTS = ["1", "4", "8", "16", "auto"]


def write_chain(path, channels):
    """LAYERS times Conv 3x3 and Relu, all of the same number of channels."""
    rng = numpy.random.default_rng(1)
    nodes, weights, last = [], [], "x"
    for k in range(LAYERS):
        weight = (0.05 * rng.standard_normal((channels, channels, 3, 3))).astype("float32")
        weights.append(numpy_helper.from_array(weight, f"w{k}"))
        nodes.append(helper.make_node("Conv", [last, f"w{k}"], [f"c{k}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{k}"], [f"r{k}"]))
        last = f"r{k}"
    dims = [1, channels, SIZE, SIZE]
    graph = helper.make_graph(nodes, "chain",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)],
                              [helper.make_tensor_value_info(last, TensorProto.FLOAT, dims)], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return {"x": dims}


def pairs(library, files, shapes):
    """Runners of all files in ONNX Runtime, then in pare, with inputs."""
    runners = [engines.Ort(path) for path in files]
    runners += [engines.Pare(library, path, s) for path, s in zip(files, shapes)]
    for runner, s in zip(runners, shapes * 2):
        runner.set(engines.random_feeds(s))
    return runners


def layers(library, folder):
    files = [f"{folder}/chain-{c}.onnx" for c in COUNTS]
    shapes = [write_chain(path, c) for path, c in zip(files, COUNTS)]
    times = 1e6 * engines.interleaved(pairs(library, files, shapes), ROUNDS)
    print(f"## {LAYERS} convolutions 3x3 with Relu on {SIZE}x{SIZE}, C channels to C\n")
    print("| C | ONNX Runtime, us | pare, us |\n|---|---|---|")
    for k, c in enumerate(COUNTS):
        row = [numpy.quantile(times[:, k + e * len(COUNTS)], [0.5, 0.25, 0.75]) for e in (0, 1)]
        cells = [f"{m:.0f} ({low:.0f} .. {high:.0f})" for m, low, high in row]
        print(f"| {c} | {cells[0]} | {cells[1]} |")


def models(library, pare, source, folder):
    print("\n## Whole models, time as a share of the original's\n")
    print("Channels chosen by `magnitude`; at the same MACs.\n")
    print("| model | MACs kept | `--align` | MACs, exactly | ONNX Runtime | pare |")
    print("|---|---|---|---|---|---|")
    for name, dims, rounds in MODELS:
        original = f"{source}/{name}.onnx"
        cases = [(target, align) for target in (80, 47) for align in ALIGNMENTS]
        files, kept = [original], []
        for target, align in cases:
            files.append(f"{folder}/{name}-{target}-{align}.onnx")
            text = subprocess.run(
                [pare, "prune", original, "-o", files[-1], "--force", "--quiet", "--target",
                 f"macs={target}%", "--strategy", "magnitude", "--align", align],
                check=True, capture_output=True, text=True).stdout
            kept.append(next(line for line in text.splitlines() if line.startswith("MACs")).split()[3])
        shapes = [{"input": dims}] * len(files)
        times = engines.interleaved(pairs(library, files, shapes), rounds)
        for k, (target, align) in enumerate(cases, 1):
            ratios = [times[:, k + e] / times[:, e] for e in (0, len(files))]
            print(f"| {name} | {target} % | {align} | {kept[k - 1]} % | "
                  f"{engines.spread(ratios[0])} | {engines.spread(ratios[1])} |")


def main():
    pare, library, source, folder = sys.argv[1:5]
    print(f"ONNX Runtime {onnxruntime.__version__}, one thread.\n")
    library = engines.Library(library)
    layers(library, folder)
    models(library, pare, source, folder)


main()
