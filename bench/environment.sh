#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a private Python environment with ONNX Runtime and further packages for the programs of this
# folder, once, and prints the path of its interpreter. usage: environment.sh FOLDER [PACKAGE ...]
set -eu
folder=$1
shift
if [ ! -x "$folder/bin/python" ]; then
    python3 -m venv "$folder" >&2
    "$folder/bin/python" -m pip install --quiet onnx onnxruntime numpy "$@" >&2
fi
echo "$folder/bin/python"
