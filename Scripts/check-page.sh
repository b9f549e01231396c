#!/bin/bash
# Tests the server's page in a headless Chromium, with real clicks and keys, against a server that answers from a script; and
# against `gemma3n serve` with the demo model where the program is built. Installs Chromium (apt-get) and Playwright (pip, in
# .build/page) if they are missing.
#   Scripts/check-page.sh [-k NAME]
set -euo pipefail
cd "$(dirname "$0")/.."
environment=.build/page

if ! command -v "${CHROMIUM:-chromium}" > /dev/null; then
    command -v apt-get > /dev/null || { echo "error: Chromium is missing. Install it, or set CHROMIUM to its path." >&2; exit 1; }
    root=""
    [ "$(id -u)" -eq 0 ] || root="sudo"
    $root apt-get update -qq
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core python3-venv > /dev/null
fi
if [ ! -x "$environment/bin/python" ]; then
    python3 -m venv "$environment"
fi
if ! "$environment/bin/python" -c 'import playwright' 2> /dev/null; then
    "$environment/bin/pip" install -q 'playwright==1.65.2'
fi
exec "$environment/bin/python" Tests/Page/run.py "$@"
