#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a private Python environment with ONNX Runtime for the programs of this folder, once, and
# prints the path of its interpreter. usage: environment.sh FOLDER
set -eu
if [ ! -x "$1/bin/python" ]; then
    python3 -m venv "$1" >&2
    "$1/bin/python" -m pip install --quiet onnx onnxruntime numpy >&2
fi
echo "$1/bin/python"
