# SPDX-License-Identifier: Apache-2.0
"""Compares models with ONNX Runtime: outputs of pare's engine, and latency original against pruned.

usage: ort_compare.py RUN_MODEL ORIGINAL.onnx PRUNED.onnx NxCxHxW [THREADS]
RUN_MODEL is the program built from bench/run_model.c (target pare_run_model). Needs the packages
onnx, onnxruntime and numpy in the Python it is run with.
"""
import subprocess
import sys
import tempfile
import time

import numpy
import onnx
import onnxruntime


def session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def main():
    runner, original, pruned, shape = sys.argv[1:5]
    threads = int(sys.argv[5]) if len(sys.argv) > 5 else 1
    dims = [int(d) for d in shape.split("x")]
    x = numpy.random.default_rng(1).standard_normal(dims).astype("float32")
    sessions = [session(p, threads) for p in (original, pruned)]
    with tempfile.TemporaryDirectory() as folder:
        x.tofile(folder + "/in")
        for path, run in zip((original, pruned), sessions):
            onnx.checker.check_model(path)
            subprocess.run([runner, path, folder + "/in", folder + "/out", shape], check=True)
            ours = numpy.fromfile(folder + "/out", "float32")
            theirs = numpy.concatenate(
                [o.ravel() for o in run.run(None, {run.get_inputs()[0].name: x})])
            spread = theirs.max() - theirs.min()
            print(f"{path}: largest difference {abs(ours - theirs).max() / spread:.2e} of the range")
    times = [[], []]
    for _ in range(40):
        for k, run in enumerate(sessions):
            start = time.perf_counter()
            run.run(None, {run.get_inputs()[0].name: x})
            times[k].append(time.perf_counter() - start)
    ratios = sorted(b / a for a, b in zip(*times))
    print(f"ONNX Runtime {onnxruntime.__version__}, {threads} thread(s), {shape}: original "
          f"{1e3 * numpy.median(times[0]):.2f} ms, pruned {1e3 * numpy.median(times[1]):.2f} ms, "
          f"ratio {numpy.median(ratios):.3f} ({ratios[4]:.3f} .. {ratios[-5]:.3f})")


main()
