#!/bin/bash
# Compiles the core (CKernels, Tensors, Checkpoint, Tokenization, Constraints, Gemma3n) as Embedded Swift for bare WebAssembly with the
# stock toolchain. What Embedded Swift lacks (untyped throws, existentials, reflection, Foundation) is an error here.
# Usage: Scripts/check-embedded.sh [MODULE…]     (all of the core by default; modules in order of dependence)
set -euo pipefail
cd "$(dirname "$0")/.."

target=wasm32-unknown-none-wasm
output=.build/embedded
modules=("$@")
[ ${#modules[@]} -gt 0 ] || modules=(Tensors Checkpoint Tokenization Constraints Gemma3n)
mkdir -p "$output"

# The toolchain's own clang, found beside swiftc.
swiftc=$(command -v swiftc) || { echo "error: swiftc not found; install Swift 6.3 or newer" >&2; exit 1; }
clang=$(dirname "$(readlink -f "$swiftc")")/clang
[ -x "$clang" ] || clang=clang

for simd in "" -msimd128; do
    for source in $(find Sources/CKernels -name '*.c' | sort); do
        "$clang" --target=$target $simd -std=c17 -O2 -Wall -Wextra -Werror -ISources/CKernels/include \
            -c "$source" -o "$output/$(basename "$source" .c)$simd.o"
    done
done
echo "CKernels: compiles for $target"

for module in "${modules[@]}"; do
    find "Sources/$module" -name '*.swift' | sort > "$output/$module.sources"
    "$swiftc" -target $target -O -wmo -parse-as-library -swift-version 6 -package-name gemma3n -module-name "$module" \
        -enable-experimental-feature Embedded -Xfrontend -disable-stack-protector \
        -enable-upcoming-feature ExistentialAny -enable-upcoming-feature MemberImportVisibility \
        -enable-upcoming-feature InternalImportsByDefault \
        -I "$output" -Xcc -fmodule-map-file=Sources/CKernels/include/module.modulemap -Xcc -mbulk-memory \
        -emit-module -emit-module-path "$output/$module.swiftmodule" \
        -c -o "$output/$module.o" @"$output/$module.sources"
    echo "$module: compiles as Embedded Swift"
done
