#!/bin/bash
# Compiles the kernels for 64-bit Arm and, where an emulator and Arm's C library are installed, runs them: NEON against plain
# C, and bit for bit against this machine's own vector versions.
#   apt-get install qemu-user libc6-dev-arm64-cross libgcc-12-dev-arm64-cross     (optional, 155 MB)
set -euo pipefail
cd "$(dirname "$0")/.."
output=.build/arm
mkdir -p "$output"
clang=$(dirname "$(readlink -f "$(command -v swiftc)")")/clang
[ -x "$clang" ] || clang=clang
flags="-std=c17 -O2 -Wall -Wextra -Werror -ISources/CKernels/include"
sources=$(find Sources/CKernels -name '*.c' | sort)

for source in $sources; do
    "$clang" --target=aarch64-linux-gnu -ffreestanding $flags -c "$source" -o "$output/$(basename "$source" .c).o"
done
echo "CKernels: compiles for aarch64-linux-gnu"

if [ -e /usr/aarch64-linux-gnu/lib/libc.so.6 ] && command -v qemu-aarch64 > /dev/null; then
    "$clang" $flags Tests/KernelCheck/check.c $sources -lm -o "$output/check-native"
    "$clang" --target=aarch64-linux-gnu --sysroot=/ -I/usr/aarch64-linux-gnu/include -L/usr/aarch64-linux-gnu/lib \
        -B/usr/aarch64-linux-gnu/lib -fuse-ld=lld -static $flags Tests/KernelCheck/check.c $sources -lm -o "$output/check-arm"
    native=$("$output/check-native")
    emulated=$(qemu-aarch64 -cpu max "$output/check-arm")
    echo "$emulated"
    # A CPU without the dot product: other code, the same bits.
    if [ "$emulated" != "$(qemu-aarch64 -cpu cortex-a53 "$output/check-arm")" ]; then
        echo "error: without the dot product NEON computes different bits" >&2
        exit 1
    fi
    if [ "$(grep bits: <<< "$native" || true)" != "$(grep bits: <<< "$emulated")" ]; then
        if grep -q bits: <<< "$native"; then
            echo "error: NEON and this machine's vector kernels compute different bits" >&2
            exit 1
        fi
    fi
else
    echo "not run: needs qemu-user, libc6-dev-arm64-cross and libgcc-12-dev-arm64-cross"
fi
