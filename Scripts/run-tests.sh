#!/bin/bash
# Runs a test command and, when it fails, says at the very end which tests failed: `run-tests.sh swift test …`.
set -uo pipefail
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$@" 2>&1 | tee "$log"
code=$?
if [ "$code" -ne 0 ]; then
    echo "--- what failed ---"
    grep -E "^✘|Program crashed|Fatal error|error:" "$log" | cut -c 1-600 | head -60
fi
exit "$code"
