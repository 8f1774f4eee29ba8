# SPDX-License-Identifier: Apache-2.0
"""Training in pare and in PyTorch: the same network, weights, images and order.

usage: training_peers.py PARE FOLDER curve|speed|speed2 [NETWORK ...]
       training_peers.py PARE FOLDER masks SHARED [SET ...]
Needs torch, numpy, onnx and Pillow (bench/environment.sh FOLDER torch pillow). Scratch files go to FOLDER.

curve: the loss of the first 50 steps of both, SGD with Nesterov momentum; PyTorch in float64 too, which
  says how far two ways to round move apart by themselves.
speed: images a second of processor time of one thread and the peak memory of the process, in turns,
  medians of 5 with least and most (compiled: once): whole steps with loss and optimiser; pare reads its
  images from an .npz file, PyTorch has its batch in memory. Pinned to one core it takes no notice of
  neighbours.
speed2: the same on two threads, by the clock: for a machine that does nothing else.
masks: whole trainings of a U-Net and what the results are worth (training_masks.py).
"""
import json
import os
import resource
import subprocess
import sys
import time

import numpy
import torch
import torch.nn.functional as F

import training_masks
from training_common import OnnxModule, batch_of, new_network, permutation, train

# architecture, channels x height x width, classes, batch
NETWORKS = {"resnet20": ("resnet20", (3, 32, 32), 10, 128),
            "resnet56": ("resnet56", (3, 32, 32), 10, 128),
            "mobilenetv2": ("mobilenetv2", (3, 128, 128), 10, 32),
            "unet": ("unet", (3, 256, 256), 11, 4)}
CURVES = {"resnet20": ("resnet20", (3, 32, 32), 10, 64), "unet": ("unet", (3, 64, 96), 11, 4)}
PLAIN = ("--schedule", "constant", "--decay", "0")
CURVE_STEPS, STEPS_AN_EPOCH, ROUNDS, SHORT, LONG = 50, 20, 5, 2, 10


def images(shape, classes, count, masks):
    """Smooth random images whose colours say the class: learnable, and all bytes are stated."""
    generator = numpy.random.default_rng(7)
    channels, height, width = shape
    pixels = generator.integers(0, 256, (count, height // 4, width // 4, channels))
    pixels = pixels.repeat(4, 1).repeat(4, 2).astype(numpy.uint8)
    if masks:
        truth = (pixels[..., 0].astype(int) * classes // 256).astype(numpy.uint8)
    else:
        labels = generator.integers(0, classes, count)
        pixels[:, : height // 2] = (pixels[:, : height // 2] // 2 + labels[:, None, None, None] * 12)
        truth = labels
    return pixels, truth


def prepare(pare, folder, name, table, count):
    """A fresh network and its data; the paths, and the arrays."""
    architecture, shape, classes, _ = table[name]
    model, data = f"{folder}/{name}.onnx", f"{folder}/{name}.npz"
    new_network(pare, model, architecture, shape, classes)
    pixels, truth = images(shape, classes, count, architecture == "unet")
    numpy.savez(data, train_images=pixels, **{"train_masks" if architecture == "unet" else "train_labels": truth})
    return model, data, pixels, truth


def torch_losses(model, pixels, truth, batch, rate, kind):
    """The losses of PyTorch's first steps in the order pare takes."""
    module = OnnxModule(model).train().to(kind)
    optimizer = torch.optim.SGD(module.parameters(), rate, momentum=0.9, nesterov=True)
    losses = []
    for step in range(CURVE_STEPS):
        epoch, place = divmod(step, STEPS_AN_EPOCH)
        order = permutation(len(pixels), 0, epoch)
        x, y = batch_of(pixels, truth, order[place * batch:(place + 1) * batch])
        loss = F.cross_entropy(module(x.to(kind)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return numpy.array(losses)


def curve(pare, folder, names):
    print(f"torch {torch.__version__}; largest relative difference of the loss in {CURVE_STEPS} steps "
          "(in the first 10)\n")
    print("| network | learning rate | loss | pare to PyTorch float64 | PyTorch float32 to float64 | "
          "pare to PyTorch float32 |\n|---|---|---|---|---|---|")

    def off(a, b):
        far = abs(a / b - 1)
        return f"{far.max():.1e} ({far[:10].max():.1e})"

    for name in names:
        batch = CURVES[name][3]
        model, data, pixels, truth = prepare(pare, folder, name, CURVES, STEPS_AN_EPOCH * batch)
        for rate in (0.01, 0.002, 0.0005):
            log = f"{folder}/{name}.jsonl"
            if os.path.exists(log):
                os.remove(log)
            train(pare, model, f"{folder}/trained.onnx", data, -(-CURVE_STEPS // STEPS_AN_EPOCH), batch,
                  *PLAIN, "--lr", str(rate), "--log", log)
            rows = [row for row in map(json.loads, open(log)) if row["kind"] == "steps"]
            ours = numpy.array([row["loss"] for row in rows[:CURVE_STEPS]])
            single, double = (torch_losses(model, pixels, truth, batch, rate, kind)
                              for kind in (torch.float32, torch.float64))
            print(f"| {name} | {rate} | {ours[0]:.4f} to {ours[-1]:.4f} | {off(ours, double)} | "
                  f"{off(single, double)} | {off(ours, single)} |", flush=True)


def torch_once(folder, threads, name, precision, layout):
    """In a process of its own: images a second, peak bytes."""
    torch.set_num_threads(int(threads))
    clock = time.process_time if threads == "1" else time.perf_counter
    architecture, shape, classes, batch = NETWORKS[name]
    module = OnnxModule(f"{folder}/{name}.onnx").train()
    x, y = batch_of(*images(shape, classes, batch, architecture == "unet"), list(range(batch)))
    if layout != "plain":
        module, x = (v.to(memory_format=torch.channels_last) for v in (module, x))
    optimizer = torch.optim.SGD(module.parameters(), 0.01, momentum=0.9, nesterov=True)
    run = torch.compile(module) if layout == "compiled" else module
    times = []
    for _ in range(7):
        begin = clock()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = F.cross_entropy(run(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        times.append(clock() - begin)
    print(batch / numpy.median(times[2:]), 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def turn(pare, folder, threads, name, precision, layout):
    if layout != "pare":
        done = subprocess.run([sys.executable, __file__, pare, folder, "once", threads, name, precision, layout],
                              capture_output=True, text=True)
        return [float(v) for v in done.stdout.split()[-2:]] if done.returncode == 0 else None
    batch, results, log = NETWORKS[name][3], [], f"{folder}/{name}.jsonl"
    for steps in (SHORT, SHORT, LONG):  # the first finds nothing of its own in the caches
        if os.path.exists(log):
            os.remove(log)
        results.append(train(pare, f"{folder}/{name}.onnx", f"{folder}/trained.onnx", f"{folder}/{name}.npz",
                             1, batch, *PLAIN, "--limit", str(steps * batch), "--lr", "0.01", "--log", log,
                             "--precision", precision, threads=threads))
    seconds = (results[2][0] - results[1][0]) / (LONG - SHORT)
    if threads != "1":  # by the clock, writing the file would count
        rows = [row for row in map(json.loads, open(log)) if row["kind"] == "steps"]
        first, last = (row["step"] * batch / row["images_per_second"] for row in (rows[SHORT - 1], rows[-1]))
        seconds = (last - first) / (rows[-1]["step"] - rows[SHORT - 1]["step"])
    return [batch / seconds, results[2][1]]


def speed(pare, folder, threads, names):
    layouts = ("pare", "plain", "channels last", "compiled")
    print(f"torch {torch.__version__}, img/s, MiB\n")
    print("| network | precision | " + " | ".join(layouts) + " | pare / best | memory |\n" + "|---" * 8 + "|")
    for name in names:
        prepare(pare, folder, name, NETWORKS, LONG * NETWORKS[name][3])
        for precision in ("f32", "bf16"):
            seen = {layout: [] for layout in layouts}
            for k in range(ROUNDS):
                for layout in layouts:
                    if layout == "compiled" and k > 0:
                        continue  # compiling takes longer than all the rest
                    if (result := turn(pare, folder, threads, name, precision, layout)) is not None:
                        seen[layout].append(result)
            cells, middle = [], {}
            for layout in layouts:
                if not seen[layout]:
                    cells.append("fails")
                    continue
                rates, peaks = numpy.array(seen[layout]).T
                middle[layout] = numpy.median(rates), numpy.median(peaks)
                cells.append(f"{middle[layout][0]:.1f} ({rates.min():.1f} .. {rates.max():.1f}), "
                             f"{middle[layout][1] / 2**20:.0f}")
            own = middle.pop("pare")
            best = max(middle.values())
            print(f"| {name} | {precision} | " + " | ".join(cells) +
                  f" | {own[0] / best[0]:.2f} | {own[1] / best[1]:.2f} |", flush=True)


def main():
    pare, folder, task, *names = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    if task == "once":
        torch_once(folder, *names)
    elif task == "curve":
        curve(pare, folder, names or list(CURVES))
    elif task == "masks":
        training_masks.masks(pare, folder, names[0], names[1:] or list(training_masks.SETS))
    else:
        speed(pare, folder, "2" if task == "speed2" else "1", names or list(NETWORKS))


if __name__ == "__main__":
    main()
