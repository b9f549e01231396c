"""`gemma3n serve` over TLS, with the certificate of the tests, which is valid until 2100."""

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import time
import urllib.parse

import httpx
import openai
import pytest

from conftest import KEY, PROGRAM, ROOT, Server
from test_operation import long_request, wait_for

TLS = ROOT / "Tests" / "Fixtures" / "tls"
FLAGS = ("--tls-certificate", str(TLS / "certificate.pem"), "--tls-key", str(TLS / "key.pem"))


@pytest.fixture(scope="module")
def secure():
    running = Server("--api-key", KEY, *FLAGS)
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def context():
    return ssl.create_default_context(cafile=TLS / "certificate.pem")


@pytest.fixture(scope="module")
def client(secure, context):
    assert secure.url.startswith("https://127.0.0.1:")
    with httpx.Client(base_url=secure.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60, verify=context) as client:
        yield client


def test_official_client(secure, context):
    with openai.OpenAI(base_url=f"{secure.url}/v1", api_key=KEY, max_retries=0, http_client=httpx.Client(verify=context)) as client:
        messages = [{"role": "user", "content": "Tell me the opposite of loud."}]
        whole = client.chat.completions.create(model="gemma3n-demo", messages=messages).choices[0].message.content
        stream = client.chat.completions.create(model="gemma3n-demo", messages=messages, stream=True)
        assert whole and "".join(chunk.choices[0].delta.content or "" for chunk in stream) == whole


def test_protocols(secure):
    address = urllib.parse.urlsplit(secure.url)
    for version, expected in [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")]:
        wanted = ssl.create_default_context(cafile=TLS / "certificate.pem")
        wanted.minimum_version = wanted.maximum_version = version
        wanted.set_alpn_protocols(["h2", "http/1.1"])
        with wanted.wrap_socket(socket.create_connection((address.hostname, address.port)), server_hostname="localhost") as connection:
            assert connection.version() == expected and connection.selected_alpn_protocol() == "http/1.1"
    # Without TLS there is no answer.
    with pytest.raises(httpx.TransportError):
        httpx.get(secure.url.replace("https", "http") + "/health")


@pytest.mark.timing
@pytest.mark.parametrize("politely", [True, False])
def test_client_that_goes_away(secure, client, context, politely):
    """With TLS's own goodbye, and without."""
    def figure():
        return next(int(line.split()[1]) for line in client.get("/metrics").text.splitlines() if line.startswith("gemma3n_requests_cancelled_total "))

    before = figure()
    address = urllib.parse.urlsplit(secure.url)
    body = json.dumps(long_request(stream=False)).encode()
    connection = context.wrap_socket(socket.create_connection((address.hostname, address.port)), server_hostname="localhost")
    connection.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    wait_for(lambda: "gemma3n_requests_running 0\n" not in client.get("/metrics").text)
    if politely:
        # The answer to a goodbye may come behind what was under way.
        with contextlib.suppress(OSError):
            connection.unwrap()
    connection.close()
    wait_for(lambda: figure() > before)


@pytest.mark.timing
def test_renewal(tmp_path):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    shutil.copy(TLS / "certificate.pem", certificate)
    shutil.copy(TLS / "key.pem", key)
    server = Server("--tls-certificate", str(certificate), "--tls-key", str(key))
    try:
        address = urllib.parse.urlsplit(server.url)
        shown = lambda: ssl.get_server_certificate((address.hostname, address.port)).split()
        assert shown() == certificate.read_text().split()
        shutil.copy(TLS / "renewed.pem", certificate)
        shutil.copy(TLS / "renewed-key.pem", key)
        for _ in range(40):
            time.sleep(1)
            if shown() == certificate.read_text().split():
                break
        assert shown() == certificate.read_text().split()
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize("certificate, key, code, sentence", [
    ("certificate", None, 64, "--tls-certificate and --tls-key belong together"),
    ("nowhere", "key", 1, "no such file or directory"),
    ("key", "key", 1, "holds no certificate in PEM"),
    ("certificate", "certificate", 1, "holds no private key in PEM"),
    ("certificate", "renewed-key", 1, "is not the key of the certificate in"),
    ("certificate", "encrypted-key", 1, "the key has a passphrase"),
])
def test_errors(certificate, key, code, sentence):
    flags = ["--tls-certificate", str(TLS / f"{certificate}.pem")] + (["--tls-key", str(TLS / f"{key}.pem")] if key else [])
    ended = subprocess.run([PROGRAM, "serve", "--port", "0", *flags], capture_output=True, text=True, timeout=60)
    assert ended.returncode == code and ended.stderr.startswith("error: ") and sentence in ended.stderr


def test_remote_media_flags(http):
    question = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/x.png"}}]}]}
    refused = http.post("/v1/chat/completions", json=question).json()["error"]
    assert refused["param"] == "messages[0].content[0].image_url.url" and "--allow-remote-media" in refused["message"]
    server = Server("--allow-remote-media", "--remote-media-host", "127.0.0.1:1", "--remote-media-limit", "1MB")
    try:
        # Not even where it is named.
        refused = httpx.post(f"{server.url}/v1/chat/completions", json=question).json()["error"]
        assert refused["param"] == "messages[0].content[0].image_url.url" and "not public" in refused["message"]
    finally:
        assert server.stop() == 0
    ended = subprocess.run([PROGRAM, "serve", "--port", "0", "--remote-media-host", "a"], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 64 and "--allow-remote-media" in ended.stderr
