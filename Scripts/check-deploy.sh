#!/bin/bash
# Tests deploy/: the balancer's configuration in a real nginx before two small servers and before two real ones (GEMMA3N names the program; default:
# .build/release/gemma3n), and the manifests. Installs nginx and python3-yaml through apt-get if they are missing, and Kubernetes' schemas from PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ ! -x /usr/sbin/nginx ] && ! command -v nginx > /dev/null || ! /usr/bin/python3 -c 'import yaml' 2> /dev/null; then
    command -v apt-get > /dev/null || { echo "error: nginx and Python's yaml are needed" >&2; exit 1; }
    root=""
    [ "$(id -u)" -eq 0 ] || root="sudo"
    $root apt-get update -qq
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light python3-yaml > /dev/null
fi

schemas=kubernetes-validate==1.37.0
if [ -x .build/deploy/bin/kubernetes-validate ] ||
    { python3 -m venv .build/deploy && .build/deploy/bin/pip install --quiet --disable-pip-version-check $schemas; }; then
    .build/deploy/bin/kubernetes-validate --strict --quiet deploy/kubernetes/*.yaml
else
    echo "skipped: Kubernetes' schemas need python3 with venv, and PyPI" >&2
fi
exec /usr/bin/python3 -B -m unittest discover -s Tests/Deploy
