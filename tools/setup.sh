#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that building and testing need, when any is missing.
set -eu
packages="cmake ninja-build pkg-config protobuf-c-compiler libprotobuf-c-dev libonnx-dev
libdnnl-dev libopenblas-openmp-dev liblapacke-dev libjpeg62-turbo-dev libpng-dev libwebp-dev
zlib1g-dev libjansson-dev libcmocka-dev libonnx-testdata"
missing=""
for package in $packages; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
        missing="$missing $package"
done
[ -z "$missing" ] && exit 0
echo "installing:$missing"
run=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "run as root: apt-get install$missing" >&2; exit 1; }
    run=sudo
fi
$run apt-get update -q
# shellcheck disable=SC2086
$run env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
