# SPDX-License-Identifier: Apache-2.0
"""How much of an architecture pare, Torch-Pruning and onnxsim can prune, and how long the machinery
of pare and Torch-Pruning takes.

usage: structure_peers.py PARE FOLDER share|speed [NAME ...]
       structure_peers.py PARE FOLDER files MODEL.onnx ...
Networks of torchvision and ResNet-56 with zero-padded and with projected shortcuts, random weights, written to FOLDER.
Needs torch, torchvision, torch-pruning, onnxsim, onnxscript (bench/environment.sh FOLDER torch ...).

share: all channels but one are asked of every group; what is gone counts, measured by pare for
  all three. Torch-Pruning works on the PyTorch module, the others on its ONNX export.
files: the share of the given files, in pare and onnxsim.
speed: load, find groups, cut half of the channels of every group by magnitude, write; processor time,
  fresh processes in turns, without the time of importing Python packages.
"""
import json
import os
import resource
import subprocess
import sys
import time

import numpy
import torch
import torchvision

from model_table import SHAPES

ROUNDS = 7
NETWORKS = {
    "alexnet": 224, "vgg11_bn": 224, "squeezenet1_1": 224, "resnet18": 224, "resnet50": 224,
    "densenet121": 224, "googlenet": 224, "inception_v3": 299, "mobilenet_v2": 224,
    "mobilenet_v3_small": 224, "mnasnet0_5": 224, "shufflenet_v2_x0_5": 224,
    "efficientnet_b0": 224, "regnet_y_400mf": 224, "convnext_tiny": 224,
    "deeplabv3_mobilenet_v3_large": 224, "lraspp_mobilenet_v3_large": 224, "resnet56": 32,
    "resnet56_projected": 32,
}


class Block(torch.nn.Module):
    """He et al. 2016, section 4.2: two 3x3 convolutions, shortcut A (strided, padded with zeros) or
    B (projected)."""

    def __init__(self, channels_in, channels, stride, projects):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(channels)
        self.conv2 = torch.nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(channels)
        self.stride, self.more, self.project = stride, channels - channels_in, None
        if projects and self.more > 0:
            self.project = torch.nn.Conv2d(channels_in, channels, 1, stride, bias=False)

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.project is not None:
            x = self.project(x)
        elif self.more > 0:
            x = torch.nn.functional.pad(x[:, :, ::self.stride, ::self.stride],
                                        (0, 0, 0, 0, self.more // 2, self.more // 2))
        return torch.relu(x + y)


class CifarResNet(torch.nn.Module):
    def __init__(self, depth, projects=False):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn = torch.nn.BatchNorm2d(16)
        widths = [16, 32, 64]
        blocks = []
        for stage, width in enumerate(widths):
            for i in range((depth - 2) // 6):
                before = widths[max(0, stage - 1)] if i == 0 else width
                blocks.append(Block(before, width, 2 if stage > 0 and i == 0 else 1,
                                    projects))
        self.blocks = torch.nn.Sequential(*blocks)
        self.fc = torch.nn.Linear(64, 10)

    def forward(self, x):
        x = self.blocks(torch.relu(self.bn(self.conv(x))))
        return self.fc(x.mean((2, 3)))


class Masks(torch.nn.Module):
    """A segmentation network of torchvision without its dictionary."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)["out"]


def network(name):
    torch.manual_seed(1)
    if name.startswith("resnet56"):
        return CifarResNet(56, name.endswith("projected")).eval()
    if name in torchvision.models.list_models(torchvision.models.segmentation):
        return Masks(torchvision.models.get_model(name, weights=None, weights_backbone=None)).eval()
    words = {"init_weights": True, "aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    return torchvision.models.get_model(name, weights=None, **words).eval()


def export(module, name, path):
    torch.onnx.export(module, (torch.zeros(1, 3, NETWORKS[name], NETWORKS[name]),), path,
                      dynamo=True, verbose=False, external_data=False)


def inspect(pare, path, sizes=""):
    """`sizes` fixes what the file leaves open, NAME:1x3x48x192."""
    words = ["--input", sizes] if sizes else []
    text = subprocess.run([pare, "inspect", path, "--json", "--quiet", *words], capture_output=True,
                          text=True, check=True).stdout
    return json.loads(text)


def share(before, after):
    """Shares of the parameters and multiplications that went, in per cent."""
    return [100 * (1 - after[k] / before[k]) for k in ("parameters", "macs")]


def by_its_pruner(pare, name, folder):
    """Torch-Pruning's own way to choose, asked for nine tenths of every group."""
    import torch_pruning
    module, path = network(name), f"{folder}/{name}-torch-pruning.onnx"
    example = torch.zeros(1, 3, NETWORKS[name], NETWORKS[name])
    last = [m for m in module.modules() if isinstance(m, (torch.nn.Linear, torch.nn.Conv2d))][-1]
    torch_pruning.pruner.BasePruner(
        module, example, importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=0.9, ignored_layers=[last]).step()
    module(example)
    export(module, name, path)
    return inspect(pare, path)["costs"]


def by_torch_pruning(pare, name, folder):
    import torch_pruning
    module, path = network(name), f"{folder}/{name}-torch-pruning.onnx"
    example = torch.zeros(1, 3, NETWORKS[name], NETWORKS[name])
    graph = torch_pruning.DependencyGraph().build_dependency(module, example_inputs=example)
    last = [m for m in module.modules() if isinstance(m, (torch.nn.Linear, torch.nn.Conv2d))][-1]
    for group in graph.get_all_groups(ignored_layers=[last],
                                      root_module_types=[torch.nn.Conv2d, torch.nn.Linear]):
        root = group[0].dep.target.module
        width = getattr(root, "out_channels", None) or root.out_features
        groups = getattr(root, "groups", 1)
        # a grouped convolution keeps one channel in each of its groups
        step = width // groups if 1 < groups < width else width
        gone = [i for i in range(width) if i % step != 0]
        if gone and graph.check_pruning_group(whole := graph.get_pruning_group(
                root, graph.get_pruner_of_module(root).prune_out_channels, gone)):
            whole.prune()
    module(example)
    export(module, name, path)
    return inspect(pare, path)["costs"]


def by_onnxsim(pare, source, folder, sizes=""):
    import onnx
    import onnxsim
    path, best = f"{folder}/onnxsim.onnx", None
    for method in (onnxsim.apply_structured_pruning, onnxsim.apply_structured_pruning_cpp):
        onnx.save(method(source, sparsity=0.999), path)
        costs = inspect(pare, path, sizes)["costs"]
        if best is None or costs["macs"] < best["macs"]:
            best = costs
    return best


def own_share(seen):
    before, least = seen["costs"], seen["prunable"]
    return " / ".join(f"{100 * least[k] / before[k]:.0f} %" if before[k] else "-"
                      for k in ("parameters", "macs"))


def files(pare, folder, paths):
    import onnxsim
    print(f"onnxsim {onnxsim.__version__}; parameters / MACs that can go:\n\n| model | pare | onnxsim |\n"
          "|---|---|---|")
    for path in paths:
        name = os.path.basename(path).removesuffix(".onnx")
        sizes = ",".join(f"{n}:{'x'.join(map(str, d))}" for n, d in SHAPES.get(name, {}).items())
        seen = inspect(pare, path, sizes)
        print(f"| {name} | {own_share(seen)} | "
              f"{attempt(by_onnxsim, seen['costs'], pare, path, folder, sizes)} |", flush=True)


def attempt(method, before, *words):
    try:
        return " / ".join(f"{x:.0f} %" for x in share(before, method(*words)))
    except Exception as refusal:  # whatever a rival raises is its result
        return f"failed: {type(refusal).__name__}: {str(refusal).splitlines()[0][:60]}"


def shares(pare, folder, names):
    import onnxsim
    import torch_pruning
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, Torch-Pruning "
          f"{torch_pruning.__version__}, onnxsim {onnxsim.__version__}\n")
    print("Parameters / MACs that can go:\n\n| network | pare | Torch-Pruning | onnxsim |\n|---|---|---|---|")
    for name in names:
        path = f"{folder}/{name}.onnx"
        export(network(name), name, path)
        seen = inspect(pare, path)
        before, own = seen["costs"], own_share(seen)
        theirs = attempt(by_torch_pruning, before, pare, name, folder)
        if theirs.startswith("failed"):
            theirs = attempt(by_its_pruner, before, pare, name, folder) + " (of 90 % asked)"
        print(f"| {name} | {own} | {theirs} | {attempt(by_onnxsim, before, pare, path, folder)} |",
              flush=True)


def torch_pruning_once(name, folder):
    """In a process of its own: processor seconds to load, find groups and cut; with the export."""
    import torch_pruning
    torch.set_num_threads(1)
    begin = time.process_time()
    module = torch.load(f"{folder}/{name}.pt", weights_only=False)
    example = torch.zeros(1, 3, NETWORKS[name], NETWORKS[name])
    last = [m for m in module.modules() if isinstance(m, torch.nn.Linear)][-1]
    pruner = torch_pruning.pruner.BasePruner(
        module, example, importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=0.5, ignored_layers=[last])
    pruner.step()
    torch.save(module, f"{folder}/{name}-cut.pt")
    cut = time.process_time()
    export(module, name, f"{folder}/{name}-cut.onnx")
    print(cut - begin, time.process_time() - begin)


def pare_once(pare, name, folder):
    """Processor seconds of the whole command; its check that the cut network computes what the masked
    one does is part of it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([pare, "prune", f"{folder}/{name}.onnx", "-o", f"{folder}/{name}-pare.onnx",
                    "--force", "--quiet", "--threads", "1", "--strategy", "magnitude", "--scope",
                    "layer", "--target", "channels=50%", "--align", "1"], check=True,
                   capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def speed(pare, folder, names):
    print(f"torch {torch.__version__}; milliseconds of processor time, medians of {ROUNDS} (least .. most)\n")
    print("| network | pare, ONNX to ONNX | Torch-Pruning, module to module | and ONNX export |"
          "\n|---|---|---|---|")
    for name in names:
        module = network(name)
        export(module, name, f"{folder}/{name}.onnx")
        torch.save(module, f"{folder}/{name}.pt")
        rows = []
        for _ in range(ROUNDS):
            theirs = subprocess.run([sys.executable, __file__, pare, folder, "once", name],
                                    capture_output=True, text=True, check=True).stdout.split()
            rows.append([pare_once(pare, name, folder), *map(float, theirs[-2:])])
        rows = 1e3 * numpy.array(rows)
        cells = [f"{numpy.median(c):.0f} ({c.min():.0f} .. {c.max():.0f})" for c in rows.T]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def main():
    pare, folder, task, *names = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    if task == "once":
        sys.modules["__main__"].__dict__.update(globals())
        torch_pruning_once(names[0], folder)
    elif task == "files":
        files(pare, folder, names)
    elif task == "share":
        shares(pare, folder, names or list(NETWORKS))
    else:
        speed(pare, folder, names or ["mobilenet_v2", "resnet56_projected"])


if __name__ == "__main__":
    main()
