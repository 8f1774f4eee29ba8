# SPDX-License-Identifier: Apache-2.0
"""U-Nets trained from scratch by pare and by PyTorch with one recipe, scored on images kept apart.

Same first weights, pixels, order and flips; SGD with Nesterov momentum 0.9, decay 5e-4 of convolutions'
weights, a cosine from RATE to 0, cross-entropy without void pixels, no validation: the last weights count.
membrane: 512x512 halved to 256x256; camvid: 480x360 halved to 240x180, of which the middle 176 rows are kept.
Pillow halves images by means of 2x2 pixels and masks by the nearest one. What is not the same: running variances
in PyTorch are unbiased. Every trained network is a file that `pare eval` scores; the last column says how far
PyTorch's reading of the same file is from that, in percent too. Runs part by rounding alone, so that
only differences beyond those of two seeds say something.
"""
import glob
import json
import math
import os
import subprocess
import time

import numpy
import onnx
import torch
import torch.nn.functional as F
from PIL import Image

from training_common import IGNORE, OnnxModule, batch_of, flips, new_network, permutation, train

BATCH, MOMENTUM, DECAY, SEEDS = 4, 0.9, 5e-4, (0, 1)
MEMBRANE_TRAIN, CAMVID_VOID, CAMVID_ROWS = 22, 11, slice(2, 178)
# classes, epochs, learning rate
SETS = {"membrane": (2, 40, 0.1), "camvid": (11, 24, 0.1)}


def read(path, kind, filter_):
    """An image at half its sides."""
    image = Image.open(path).convert(kind)
    return numpy.asarray(image.resize((image.width // 2, image.height // 2), filter_))


def membrane(folder):
    pixels, truth = ([read(f"{folder}/{part}/{n}.png", "L", filter_) for n in range(30)]
                     for part, filter_ in (("image", Image.Resampling.BOX), ("label", Image.Resampling.NEAREST)))
    pixels, truth = numpy.stack(pixels)[..., None], (numpy.stack(truth) > 127).astype(numpy.uint8)
    return {"train_images": pixels[:MEMBRANE_TRAIN], "train_masks": truth[:MEMBRANE_TRAIN],
            "test_images": pixels[MEMBRANE_TRAIN:], "test_masks": truth[MEMBRANE_TRAIN:]}


def camvid(folder):
    arrays = {}
    for part in ("train", "test"):
        paths = sorted(glob.glob(f"{folder}/{part}/*.jpg"))
        names = [os.path.basename(path)[:-4] for path in paths]
        pixels = [read(path, "RGB", Image.Resampling.BOX) for path in paths]
        truth = [read(f"{folder}/{part}annot/{name}.png", "L", Image.Resampling.NEAREST) for name in names]
        truth = numpy.stack(truth)[:, CAMVID_ROWS]
        arrays[f"{part}_images"] = numpy.stack(pixels)[:, CAMVID_ROWS]
        arrays[f"{part}_masks"] = numpy.where(truth == CAMVID_VOID, IGNORE, truth).astype(numpy.uint8)
    return arrays


def torch_train(module, arrays, epochs, rate, seed):
    """The loss of every epoch; the module holds the last weights."""
    pixels, truth = arrays["train_images"], arrays["train_masks"]
    decayed = [p for p in module.parameters() if p.dim() >= 2]
    others = [p for p in module.parameters() if p.dim() < 2]
    optimizer = torch.optim.SGD([{"params": decayed, "weight_decay": DECAY}, {"params": others}], rate,
                                momentum=MOMENTUM, nesterov=True)
    steps, losses = len(pixels) // BATCH, []
    for epoch in range(epochs):
        order, total = permutation(len(pixels), seed, epoch), 0
        for step in range(steps):
            chosen = order[step * BATCH:(step + 1) * BATCH]
            x, y = batch_of(pixels, truth, chosen)
            flip = torch.from_numpy(flips(chosen, seed, epoch))
            x[flip], y[flip] = x[flip].flip(-1), y[flip].flip(-1)
            for group in optimizer.param_groups:
                group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * (epoch * steps + step) / (epochs * steps)))
            loss = F.cross_entropy(module(x), y, ignore_index=IGNORE)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total / steps)
    return losses


def write_trained(module, source, path):
    """The file `source` with the weights and statistics of the module."""
    model = onnx.load(source)
    for initializer in model.graph.initializer:
        value = getattr(module, module.tensors[initializer.name]).detach().numpy()
        initializer.CopyFrom(onnx.numpy_helper.from_array(value, initializer.name))
    onnx.save(model, path)


def torch_scores(path, arrays, classes):
    """Mean IoU over the classes that occur, and pixel accuracy, from PyTorch's run of a file."""
    module, matrix = OnnxModule(path).eval(), numpy.zeros((classes, classes), int)
    pixels, truth = arrays["test_images"], arrays["test_masks"]
    with torch.no_grad():
        for n in range(len(pixels)):
            x, y = batch_of(pixels, truth, [n])
            said, counts = module(x).argmax(1)[y != IGNORE], y[y != IGNORE]
            matrix += torch.bincount(counts * classes + said, minlength=classes**2).view(classes, classes).numpy()
    both, occurring = matrix.diagonal(), matrix.sum(1) > 0
    either = matrix.sum(0) + matrix.sum(1) - both
    return (both[occurring] / either[occurring]).mean(), both.sum() / matrix.sum()


def pare_scores(pare, path, data):
    done = subprocess.run([pare, "eval", path, "--data", data, "--split", "test", "--threads", "1", "--quiet",
                           "--json"], check=True, capture_output=True, text=True)
    scores = json.loads(done.stdout)
    return scores["miou"], scores["pixel_accuracy"]


def train_by(who, pare, model, out, data, arrays, epochs, rate, seed):
    """Trains; the losses of the epochs and the processor seconds."""
    if who == "PyTorch f32":
        module, begin = OnnxModule(model).train(), time.process_time()
        losses = torch_train(module, arrays, epochs, rate, seed)
        seconds = time.process_time() - begin
        write_trained(module, model, out)
        return losses, seconds
    log = f"{out}.jsonl"
    if os.path.exists(log):
        os.remove(log)
    seconds, _ = train(pare, model, out, data, epochs, BATCH, "--lr", str(rate), "--schedule", "cosine",
                       "--momentum", str(MOMENTUM), "--decay", str(DECAY), "--augment", "flip", "--seed",
                       str(seed), "--precision", who.split()[1], "--log", log)
    return [row["loss"] for row in map(json.loads, open(log)) if row["kind"] == "epoch"], seconds


def masks(pare, folder, shared, names):
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}; scores of the test images in percent, void ignored\n")
    print("| set | epochs | rate | seed | trained by | loss, first and last epoch | mIoU | pixel accuracy | "
          "processor s | PyTorch's reading: mIoU, accuracy |\n" + "|---" * 10 + "|")
    for seed in SEEDS:
        for name in names:
            classes, epochs, rate = SETS[name]
            arrays = (membrane if name == "membrane" else camvid)(f"{shared}/data/{name}")
            model, data = f"{folder}/{name}-{seed}.onnx", f"{folder}/{name}.npz"
            numpy.savez(data, **arrays)
            shape = arrays["train_images"].shape
            new_network(pare, model, "unet", (shape[3], *shape[1:3]), classes, seed)
            for who in ("pare f32", "pare bf16", "PyTorch f32"):
                out = f"{folder}/{name}-{seed}-{who.replace(' ', '-')}.onnx"
                losses, seconds = train_by(who, pare, model, out, data, arrays, epochs, rate, seed)
                miou, accuracy = pare_scores(pare, out, data)
                miou2, accuracy2 = torch_scores(out, arrays, classes)
                print(f"| {name} | {epochs} | {rate} | {seed} | {who} | {losses[0]:.4f} to {losses[-1]:.4f} | "
                      f"{100 * miou:.2f} | {100 * accuracy:.2f} | {seconds:.0f} | {100 * (miou2 - miou):+.4f}, "
                      f"{100 * (accuracy2 - accuracy):+.4f} |", flush=True)
