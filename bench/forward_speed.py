# SPDX-License-Identifier: Apache-2.0
"""Forward passes of every model of a folder in pare and in ONNX Runtime, in turns.

usage: forward_speed.py PARE LIBPARE.so MODELS THREADS [NAME ...]
With one thread, run it pinned to a core: processor time is what counts then, so that neighbours take
nothing from either. With more threads it is time on the clock. Speed is ONNX Runtime's time divided by
pare's: above 1 pare is faster.
"""
import glob
import json
import os
import subprocess
import sys
import time

import numpy
import onnxruntime

import engines
from model_table import SHAPES

BATCHES, SECONDS, ROUNDS, LONGEST = (1, 32), 0.8, (7, 40), 0.1


def measure(library, path, shapes, threads):
    """Milliseconds of ONNX Runtime and pare, and their speed, as text; seconds of a run."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    runners = [engines.Ort(path, threads), engines.Pare(library, path, shapes)]
    for runner in runners:
        runner.set(engines.random_feeds(shapes))
    first = engines.interleaved(runners, 1, 1, clock).max()
    rounds = int(numpy.clip(SECONDS / first, *ROUNDS))
    times = engines.interleaved(runners, rounds, 1, clock)
    for runner in runners:
        runner.close()
    middle = 1e3 * numpy.median(times, 0)
    return [f"{middle[0]:.2f}", f"{middle[1]:.2f}", engines.spread(times[:, 0] / times[:, 1])], first


def hot_spots(pare, path, shapes):
    """The operators that take most of pare's time."""
    stated = ",".join(f"{n}:{'x'.join(map(str, d))}" for n, d in shapes.items())
    text = subprocess.run([pare, "bench", path, "--input", stated, "--rounds", "9", "--json",
                           "--quiet", "--threads", "1"], capture_output=True, text=True).stdout
    rows = json.loads(text)["operators"]
    whole = sum(row["forward"] for row in rows)
    return ", ".join(f"{r['operator']} {100 * r['forward'] / whole:.0f} %" for r in rows[:4])


def main():
    pare, library, source, threads, *names = sys.argv[1:]
    threads = int(threads)
    library = engines.Library(library, threads)
    print(f"ONNX Runtime {onnxruntime.__version__}, {threads} thread(s), milliseconds, medians; speed with "
          "quartiles.\n")
    print("| model | batch | ONNX Runtime | pare | speed |" +
          (" where pare's time goes |" if threads == 1 else ""))
    print("|---|---|---|---|---|" + ("---|" if threads == 1 else ""))
    for path in sorted(glob.glob(source + "/*.onnx")):
        name = os.path.basename(path).removesuffix(".onnx")
        if names and name not in names:
            continue
        longest = 0
        for batch in BATCHES:
            shapes = engines.shapes_of(path, batch) if name not in SHAPES else {
                n: [batch, *d[1:]] for n, d in SHAPES[name].items()}
            if any(d and d[0] != batch for d in shapes.values()) or longest > LONGEST:
                continue
            try:
                cells, longest = measure(library, path, shapes, threads)
            except RuntimeError as refusal:
                print(f"| {name} | {batch} | refused: {str(refusal).splitlines()[0]} | | |", flush=True)
                break
            if threads == 1:
                cells.append(hot_spots(pare, path, shapes))
            print(f"| {name} | {batch} | " + " | ".join(cells) + " |", flush=True)


main()
