#!/bin/bash
# The core imports nothing but itself: no Foundation, no system module. The host may use FoundationEssentials, no more.
set -euo pipefail
cd "$(dirname "$0")/.."
status=0

# check "modules" "allowed imports"
check() {
    local module line name
    for module in $1; do
        while IFS= read -r line; do
            name=$(sed -E 's/^[^:]*:[0-9]+: *((@[A-Za-z_()]+|public|package|internal|fileprivate|private) +)*import +((struct|class|enum|func|protocol|typealias|var|let) +)?([A-Za-z0-9_]+).*/\5/' <<< "$line")
            case " $2 " in
                *" $name "*) ;;
                *) echo "error: $line: '$module' may import only: $2" >&2; status=1 ;;
            esac
        done < <(grep -rnE '^ *((@[A-Za-z_()]+|public|package|internal|fileprivate|private) +)*import +' "Sources/$module" --include='*.swift' || true)
    done
}
core="CKernels Tensors Checkpoint Tokenization Constraints Gemma3n Synchronization"
check "Tensors Checkpoint Tokenization Constraints Gemma3n" "$core"

# The host: system modules, but not Foundation.
while IFS= read -r line; do
    echo "error: $line: the host does without Foundation (FoundationEssentials at most)" >&2
    status=1
done < <(grep -rnE '^ *((@[A-Za-z_()]+|public|package|internal|fileprivate|private) +)*import +((struct|class|enum|func|protocol) +)?Foundation( |\.|$)' Sources/Gemma3nHost --include='*.swift' || true)

# C: freestanding headers and intrinsics only.
while IFS= read -r line; do
    echo "error: $line: CKernels may include only <stddef.h>, <stdint.h> and intrinsics" >&2
    status=1
done < <(grep -rnE '^ *# *include *<' Sources/CKernels | grep -vE '<(stddef|stdint|immintrin|arm_neon|wasm_simd128)\.h>' || true)

[ $status = 0 ] && echo "The core is free of Foundation."
exit $status
