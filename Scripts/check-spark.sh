#!/bin/bash
# Runs examples/spark with the demo model on a real Spark (PySpark from PyPI, two workers on this machine). Needs Java 17 or 21.
# GEMMA3N names the program (default: .build/release/gemma3n), SPARK a Python with PySpark in it; without one, a virtual
# environment is made in .build.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${SPARK:-}
if [ -z "$python" ]; then
    python=.build/spark/bin/python
    if ! cmp -s Tests/Spark/requirements.txt .build/spark/requirements.txt; then
        python3 -m venv .build/spark
        $python -m pip install --quiet --disable-pip-version-check -r Tests/Spark/requirements.txt
        cp Tests/Spark/requirements.txt .build/spark/requirements.txt
    fi
fi
"$python" Tests/Spark/check_spark.py
