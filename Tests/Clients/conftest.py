"""A live `gemma3n serve` with the demo model, for the official clients."""

import base64
import os
import pathlib
import re
import signal
import subprocess
import tempfile

import httpx
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "Demo"
PROGRAM = os.environ.get("GEMMA3N", str(ROOT / ".build" / "release" / "gemma3n"))
KEY = "sk-test"


class Server:
    """A server of its own on a free port, with a state directory of its own."""

    def __init__(self, *arguments, **options):
        self.state = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "--port", "0", "--log-level", "error", *arguments], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "XDG_STATE_HOME": self.state.name}, **options)
        line = self.process.stdout.readline()
        self.url = re.search(r"https?://\S+", line).group(0)

    def stop(self):
        """Ends it as an operator would; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def kill(self):
        """Ends it as a power cut would."""
        self.process.kill()
        self.process.wait(timeout=60)


def pytest_configure(config):
    config.addinivalue_line("markers", "timing: needs a machine that is not too busy; left out by make test")


@pytest.fixture(scope="session")
def server():
    running = Server("--api-key", KEY, "--alias", "gpt-4o-mini", "--alias", "claude-demo")
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def url(server):
    return server.url


@pytest.fixture(scope="session")
def http(server):
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as client:
        yield client


def encoded(name):
    return base64.b64encode((DEMO / name).read_bytes()).decode()
