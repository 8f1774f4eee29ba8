# SPDX-License-Identifier: Apache-2.0
"""What the comparisons of training share: pare's networks in PyTorch, its random numbers, its commands."""
import subprocess
import sys

import numpy
import onnx
import torch
import torch.nn.functional as F

SHUFFLE, AUGMENT, MASK = 2, 4, (1 << 64) - 1  # PRI_STREAM_SHUFFLE, PRI_STREAM_AUGMENT; 64-bit numbers
DRAWS, FLIP = 8, 2  # numbers an image has in src/data/batch.c, the one that decides on its flip
IGNORE = 255  # PARE_IGNORE


class OnnxModule(torch.nn.Module):
    """Runs the operators of pare's own architectures in PyTorch, from a file's weights."""

    def __init__(self, path):
        super().__init__()
        graph = onnx.load(path).graph
        self.nodes, self.tensors = list(graph.node), {}
        self.input, self.output = graph.input[0].name, graph.output[0].name
        statistics = {n for node in graph.node if node.op_type == "BatchNormalization"
                      for n in node.input[3:]}
        for initializer in graph.initializer:
            value = torch.from_numpy(onnx.numpy_helper.to_array(initializer).copy())
            name = initializer.name.replace(".", "_")
            if value.dtype == torch.float32 and initializer.name not in statistics:
                self.register_parameter(name, torch.nn.Parameter(value))
            else:
                self.register_buffer(name, value)
            self.tensors[initializer.name] = name
        self.steps = [(n.op_type, list(n.input), list(n.output),
                       {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute})
                      for n in self.nodes]

    def forward(self, x):
        values = {self.input: x}

        def read(name):
            return values[name] if name in values else getattr(self, self.tensors[name])

        for kind, inputs, outputs, a in self.steps:
            in_ = [read(name) for name in inputs if name]
            values[outputs[0]] = self.run(kind, in_, a)
        return values[self.output]

    def run(self, kind, in_, a):
        pads = a.get("pads", [0, 0, 0, 0])
        if kind == "Conv":
            return F.conv2d(in_[0], in_[1], in_[2] if len(in_) > 2 else None, tuple(a.get("strides", (1, 1))),
                            tuple(pads[:2]), 1, a.get("group", 1))
        if kind == "ConvTranspose":
            return F.conv_transpose2d(in_[0], in_[1], in_[2] if len(in_) > 2 else None,
                                      tuple(a.get("strides", (1, 1))), tuple(pads[:2]))
        if kind == "BatchNormalization":
            return F.batch_norm(in_[0], in_[3], in_[4], in_[1], in_[2], self.training, 0.1,
                                a.get("epsilon", 1e-5))
        if kind == "MaxPool":
            return F.max_pool2d(in_[0], tuple(a["kernel_shape"]), tuple(a["strides"]), tuple(pads[:2]))
        if kind == "Clip":
            return F.relu6(in_[0])
        if kind == "Gemm":
            return F.linear(in_[0], in_[1], in_[2])
        simple = {"Relu": F.relu, "Add": torch.add, "Concat": lambda *v: torch.cat(v, 1),
                  "GlobalAveragePool": lambda v: v.mean((2, 3), keepdim=True),
                  "Flatten": lambda v: v.flatten(1)}
        return simple[kind](*in_)


def mix(x):
    for shift, factor in ((30, 0xbf58476d1ce4e5b9), (27, 0x94d049bb133111eb)):
        x = ((x ^ x >> shift) * factor) & MASK
    return x ^ x >> 31


def random_bits(seed, stream, index):
    """Number `index` of a stream, as src/base/random.c draws it."""
    golden = 0x9e3779b97f4a7c15
    key = mix(seed + golden & MASK) ^ mix(stream * golden + 0x632be59bd9b4e019 & MASK)
    return mix(mix(key + index * golden & MASK) + key & MASK)


def permutation(count, seed, epoch):
    """The order of an epoch (src/train/feed.c)."""
    order, stream = list(range(count)), SHUFFLE + (epoch << 32)
    for i in range(count - 1, 0, -1):
        j = int((random_bits(seed, stream, i) >> 11) * 2.0 ** -53 * (i + 1))
        order[i], order[j] = order[j], order[i]
    return order


def flips(chosen, seed, epoch):
    """Which of the images pare mirrors in an epoch."""
    key = random_bits(seed, AUGMENT, epoch)
    return numpy.array([random_bits(key, AUGMENT, DRAWS * number + FLIP) & 1 for number in chosen], bool)


def batch_of(pixels, truth, chosen):
    x = torch.from_numpy(pixels[chosen].transpose(0, 3, 1, 2).astype(numpy.float32) / 255)
    return x, torch.from_numpy(truth[chosen].astype(numpy.int64))


def new_network(pare, model, architecture, shape, classes, seed=0):
    subprocess.run([pare, "new", architecture, "-o", model, "--force", "--quiet", "--classes", str(classes),
                    "--input", "x".join(map(str, shape)), "--preprocess", "unit", "--seed", str(seed)],
                   check=True, capture_output=True)


# A process counts what it was forked from to its peak: a small one comes between.
WATCH = """import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
sys.exit(code)"""


def train(pare, model, out, data, epochs, batch, *more, threads="1"):
    """Runs pare train on all training images; its processor seconds and peak bytes."""
    words = [pare, "train", model, "-o", out, "--force", "--quiet", "--data", data, "--val-fraction", "0",
             "--epochs", str(epochs), "--batch", str(batch), "--keep-last", "--threads", threads, *more]
    done = subprocess.run([sys.executable, "-c", WATCH, *words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}\n{done.stderr}")
    used, peak = map(float, done.stdout.split())
    return used, 1024 * peak
