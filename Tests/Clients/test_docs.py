"""The curl lines of docs/server.md, as they stand there; blocks marked "not-run" need the internet or a server of their own."""

import re
import shlex
import shutil
import subprocess

import pytest

from conftest import ROOT, Server

LINES = [
    line
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "server.md").read_text(), re.S)
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def open_server():
    running = Server()
    yield running
    assert running.stop() == 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("line", LINES)
def test_curl(open_server, line):
    command = shlex.split(line.replace("http://127.0.0.1:8080", open_server.url))
    assert command[0] == "curl"
    answer = subprocess.run([command[0], "-sS", "--fail-with-body", *command[1:]], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0 and answer.stdout, answer.stdout + answer.stderr
