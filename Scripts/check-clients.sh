#!/bin/bash
# Runs the official clients of OpenAI, Anthropic and Ollama (Python) against a live `gemma3n serve` with the demo model.
# GEMMA3N names the program (default: .build/release/gemma3n), CLIENTS a Python with the clients in it; without one, a virtual
# environment is made in .build. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${CLIENTS:-}
if [ -z "$python" ]; then
    python=.build/clients/bin/python
    if ! cmp -s Tests/Clients/requirements.txt .build/clients/requirements.txt; then
        if ! python3 -m venv .build/clients || ! $python -m pip install --quiet --disable-pip-version-check -r Tests/Clients/requirements.txt; then
            echo "skipped: the clients need python3 with venv, and PyPI" >&2
            exit 0
        fi
        cp Tests/Clients/requirements.txt .build/clients/requirements.txt
    fi
fi
"$python" -m pytest -q -p no:cacheprovider "$@" Tests/Clients
