# SPDX-License-Identifier: Apache-2.0
"""Classes of pare's engine against those of ONNX Runtime on whole test sets.

usage: ort_agreement.py RUN_MODEL SHARED
RUN_MODEL is the program built from bench/run_model.c (target pare_run_model), SHARED the folder with
data and models. Needs onnxruntime, numpy and pillow in the Python it is run with.
"""
import gzip
import subprocess
import sys
import tempfile

import numpy
import onnxruntime
from PIL import Image


def cifar10(shared):
    strips = [numpy.asarray(Image.open(f"{shared}/data/cifar10/test_{k:02d}.png").convert("RGB"))
              for k in range(8)]
    x = numpy.concatenate([s.reshape(-1, 32, 32, 3) for s in strips]).astype("float32") / 255
    mean, std = numpy.float32([0.485, 0.456, 0.406]), numpy.float32([0.229, 0.224, 0.225])
    labels = numpy.fromfile(f"{shared}/data/cifar10/test_labels.u8", "uint8")[:len(x)]
    return ((x - mean) / std).transpose(0, 3, 1, 2).copy(), labels


def mnist(shared):
    folder = f"{shared}/data/mnist/t10k"
    images = gzip.open(folder + "-images-idx3-ubyte.gz").read()[16:]
    labels = gzip.open(folder + "-labels-idx1-ubyte.gz").read()[8:]
    x = numpy.frombuffer(images, "uint8").reshape(-1, 1, 28, 28).astype("float32")
    return x, numpy.frombuffer(labels, "uint8")


def ours(runner, path, x, batch):
    parts = []
    with tempfile.TemporaryDirectory() as folder:
        for k in range(0, len(x), batch):
            x[k:k + batch].tofile(folder + "/in")
            shape = "x".join(str(d) for d in x[k:k + batch].shape)
            subprocess.run([runner, path, folder + "/in", folder + "/out", shape], check=True)
            parts.append(numpy.fromfile(folder + "/out", "float32").reshape(batch, -1))
    return numpy.concatenate(parts)


def main():
    runner, shared = sys.argv[1:3]
    sets = {"cifar10": cifar10(shared), "mnist": mnist(shared)}
    for name, data, batch in (("resnet20_cifar10", "cifar10", 500),
                              ("resnet56_cifar10", "cifar10", 500), ("mnist_cntk", "mnist", 1)):
        path = f"{shared}/models/{name}.onnx"
        x, labels = sets[data]
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        key = session.get_inputs()[0].name
        theirs = numpy.concatenate([session.run(None, {key: x[k:k + batch]})[0]
                                    for k in range(0, len(x), batch)])
        own = ours(runner, path, x, batch)
        print(f"{name}: {len(x)} images, accuracy {100 * (own.argmax(1) == labels).mean():.2f} %, "
              f"ONNX Runtime {onnxruntime.__version__} {100 * (theirs.argmax(1) == labels).mean():.2f} "
              f"%, {(own.argmax(1) != theirs.argmax(1)).sum()} classes differ, largest difference "
              f"{abs(own - theirs).max() / (theirs.max() - theirs.min()):.1e} of the range")


main()
