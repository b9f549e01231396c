"""Clients that are slow, broken or mean. After each of them the server serves as before: no descriptor and no place in the engine is lost."""

import contextlib
import json
import pathlib
import random
import socket
import sys
import time
import urllib.parse

import httpx
import pytest

from conftest import Server

CHAT = b'{"messages": [{"role": "user", "content": "Tell me the opposite of loud."}], "temperature": 0}'
LONG = json.dumps({"messages": [{"role": "user", "content": "Tell me everything."}], "stream": True, "max_tokens": 100000,
                   "logit_bias": {"1": -1000, "6": -1000}}).encode()
# Nothing here takes this long unless something is broken.
PATIENCE = 60


def post(body, path="/v1/chat/completions", *headers):
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", *headers]
    if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Victim:
    def __init__(self, *arguments):
        self.server = Server(*arguments)
        self.address = (urllib.parse.urlsplit(self.server.url).hostname, urllib.parse.urlsplit(self.server.url).port)
        self.ask()
        self.descriptors = self.count_descriptors()

    @contextlib.contextmanager
    def connection(self):
        with socket.create_connection(self.address, timeout=PATIENCE) as connection:
            yield connection

    def exchange(self, data, ends=True):
        """Sends bytes; returns all that comes until the server closes, or until nothing comes where it does not."""
        with self.connection() as connection:
            # The server may have seen enough before it was sent everything.
            with contextlib.suppress(ConnectionError):
                connection.sendall(data)
            return read(connection, ends)

    def ask(self):
        answer = httpx.post(f"{self.server.url}/v1/chat/completions", content=CHAT, timeout=PATIENCE)
        assert answer.status_code == 200 and answer.json()["choices"][0]["message"]["content"] == "quiet"

    def count_descriptors(self):
        folder = pathlib.Path(f"/proc/{self.server.process.pid}/fd")
        return len(list(folder.iterdir())) if sys.platform == "linux" else 0

    def figure(self, name):
        text = httpx.get(f"{self.server.url}/metrics", timeout=PATIENCE).text
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"gemma3n_{name} "))

    def peak_memory(self):
        status = pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text()
        return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))

    def check(self):
        self.ask()
        wait_for(lambda: self.figure("requests_running") == 0 and self.figure("requests_queued") == 0)
        wait_for(lambda: self.count_descriptors() <= self.descriptors)


def wait_for(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def read(connection, ends=True):
    data = b""
    try:
        while more := connection.recv(1 << 16):
            data += more
            if not ends and complete(data):
                break
    except ConnectionError:
        pass
    return data


def complete(data):
    """Whether this is a whole reply with a length."""
    head, mark, body = data.partition(b"\r\n\r\n")
    length = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(mark) and bool(length) and len(body) >= length[0]


def statuses(data):
    return [int(piece[:3]) for piece in data.split(b"HTTP/1.1 ")[1:]]


@pytest.fixture(scope="module")
def running():
    victim = Victim("--idle", "5", "--body-time", "5", "--max-body", "1MB")
    yield victim
    assert victim.server.stop() == 0


@pytest.fixture
def victim(running):
    yield running
    running.check()


def test_slow_clients(victim):
    """A hundred that send their head byte by byte, and a hundred their body: others are answered, and they are cut off."""
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(victim.connection()) for _ in range(200)]
        for index, connection in enumerate(slow):
            connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n" if index % 2 else post(b'{"messages"', "/v1/messages", "Content-Length: 1000"))
        for round in range(5):
            for index, connection in enumerate(slow):
                with contextlib.suppress(ConnectionError):
                    connection.sendall(b"x" if round else b"X-Slow: ")
            victim.ask()
        for connection in slow:
            read(connection)


def test_huge_body_announced(victim):
    answer = victim.exchange(post(b"{", "/v1/chat/completions", "Content-Length: 1000000000"))
    assert statuses(answer) == [413] and b"request_too_large" in answer and b"connection: close" in answer.lower()


@pytest.mark.skipif(sys.platform != "linux", reason="reads the server's memory from /proc")
def test_huge_body_in_chunks():
    victim = Victim("--max-body", "1MB")
    before = victim.peak_memory()
    chunk = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
    with victim.connection() as connection:
        connection.sendall(post(b"", "/v1/chat/completions", "Transfer-Encoding: chunked"))
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                connection.sendall(chunk)
        # A client that is cut off may lose what it did not read; this one reads at the end only.
        assert statuses(read(connection)) in ([413], [])
    assert victim.peak_memory() - before < 64 << 20
    victim.check()
    assert victim.server.stop() == 0


def test_chunks_beyond_the_limit(victim):
    """The reply is there while the client is still sending."""
    with victim.connection() as connection:
        connection.sendall(post(b"", "/v1/chat/completions", "Transfer-Encoding: chunked") + b"200000\r\n" + b"x" * 1_500_000)
        assert statuses(read(connection)) == [413]


DEEP = 100_000
JSONS = [
    b"", b"\x00", b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00", b"{", b"}", b"[]", b"null", b"1", b'"x"', b"{}{}", b"{'a': 1}", b'{"a": 1,}', b'{"a" 1}',
    b'{"a": 01}', b'{"a": 1e999999}', b'{"a": ' + b"9" * 100_000 + b"}", b'{"a": -}', b'{"a": NaN}', b'{"a": Infinity}', b'{"a": +1}', b'{"a": .5}',
    b'{"a": "\\ud800"}', b'{"a": "\\udc00\\ud800"}', b'{"a": "\\x"}', b'{"a": "\n"}', b'{"a": "\x00"}', b'{"a": "\xff"}', b'{"a": "\xc0\xaf"}',
    b'{"a": "\xed\xa0\x80"}', b'{"a": "\xf4\x90\x80\x80"}', b'{"a": ' * DEEP, b"[" * DEEP + b"]" * DEEP, b'{"messages": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    b'{"messages": [{"role": "user", "content": ' + b"[" * 100 + b"]" * 100 + b"}]}", b"/* x */ {}", b"{} // x", b'{"messages": [null]}',
    b'{"messages": {}}', b'{"messages": [], "messages": 5}', b'{"messages": [{"role": "user", "content": [{"type": "text", "text": {}}]}]}',
]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat", "/v1/responses"])
def test_malformed_json(victim, path):
    with httpx.Client(base_url=victim.server.url, timeout=PATIENCE) as client:
        for body in JSONS:
            answer = client.post(path, content=body, headers={"content-type": "application/json"})
            assert answer.status_code == 400 and answer.json()["error"], body[:80]


def test_large_json(victim):
    """Many members and many elements take time in proportion."""
    members = ", ".join(f'"{index}": 1' for index in range(70_000))
    messages = ", ".join(['{"role": "user", "content": "a"}'] * 20_000)
    for body in [f'{{"messages": [], "logit_bias": {{{members}}}}}', f'{{"messages": [{messages}]}}', f'{{"messages": [], {members}}}']:
        start = time.monotonic()
        answer = httpx.post(f"{victim.server.url}/v1/chat/completions", content=body, timeout=PATIENCE)
        assert answer.status_code == 400 and time.monotonic() - start < PATIENCE / 2


EXPENSIVE = [
    {"type": "string", "maxLength": 10**9}, {"type": "string", "pattern": "^(a{1,1000}){1,1000}$"}, {"type": "string", "pattern": "^(.*a){50}.*[^a]{0,500}$"},
    {"anyOf": [{"const": f"x{index}" * 20} for index in range(5000)]}, {"anyOf": [{"const": "a" * 15_000}, {"type": "string", "pattern": "^b{3}$"}]},
    {"enum": [f"value {index}" for index in range(50_000)]}, {"type": "object", "properties": {f"p{index}": {"type": "string"} for index in range(3000)}},
    {"$ref": "#/$defs/d0", "$defs": {f"d{index}": {"type": "object", "properties": {key: {"$ref": f"#/$defs/d{index + 1}"} for key in "ab"}} for index in range(40)}
     | {"d40": {"type": "string"}}},
    {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, {"not": {"not": {"not": {"not": {"type": "string"}}}}},
    {"type": "array", "minItems": 1000, "items": {"type": "array", "items": {"type": "integer"}, "minItems": 1000, "maxItems": 2000}},
]


def test_expensive_schemas(victim):
    """Each is kept to or refused, and takes nobody else's time."""
    question = {"messages": [{"role": "user", "content": "Which?"}], "max_tokens": 3}
    for schema in EXPENSIVE:
        request = {**question, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
        answer = httpx.post(f"{victim.server.url}/v1/chat/completions", json=request, timeout=PATIENCE)
        assert answer.status_code in (200, 400), answer.text
    for grammar in ['root ::= a\na ::= a a | "x"\n', "root ::= " + "(" * 5000 + '"x"' + ")" * 5000 + "\n", 'root ::= "a"{1000000}\n']:
        answer = httpx.post(f"{victim.server.url}/v1/chat/completions", json={**question, "grammar": grammar}, timeout=PATIENCE)
        assert answer.status_code == 400 and answer.json()["error"]["message"]


def test_malformed_forms(victim):
    def part(name, value="x", more=""):
        return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n'.encode()

    whole = part("file", "RIFF", '; filename="a.wav"') + b"--b--\r\n"
    form = "multipart/form-data; boundary=b"
    cases = [(form, whole[:count]) for count in range(0, len(whole), 7)]
    cases += [(kind, whole) for kind in [
        "", "text/plain", "multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "b" * 100, "multipart/mixed; boundary=b",
        "application/x-www-form-urlencoded", "multipart/form-data; boundary=c", 'multipart/form-data; boundary="', "multipart/form-data; boundary=\xe9"]]
    cases += [(form, body) for body in [
        b"", b"--b", b"--b--", b"--b--\r\n", b"--b\r\n\r\n\r\n--b--", b"--b\r\n" * 2000, b"-" * 500_000, b"\r\n--" * 200_000, b"--b\r\n" + b"x" * 500_000,
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--", b"--b\r\n\x00\xff: y\r\n\r\nx\r\n--b--", part("file", "") + b"--b--", part("model") + b"--b--",
        part("file", "RIFF", '; filename="../../etc/passwd\x00"') + b"--b--", part("file") * 2000 + b"--b--", part("a" * 100_000) + b"--b--",
        part("file", "x" * 1000) + part("temperature", "hot") + b"--b--", random.Random(1).randbytes(500_000)]]
    with httpx.Client(base_url=victim.server.url, timeout=PATIENCE) as client:
        for kind, body in cases:
            answer = client.post("/v1/audio/transcriptions", content=body, headers={"content-type": kind.encode("latin-1")})
            assert answer.status_code == 400 and answer.json()["error"]["message"], (kind, body[:80])


def test_random_bytes(victim):
    for seed in range(200):
        noise = random.Random(seed).randbytes(10_000)
        assert set(statuses(victim.exchange(noise))) <= {400}
        # The same behind a request's beginning, where a parser goes on.
        cut = random.Random(seed).randrange(len(GET))
        assert set(statuses(victim.exchange(GET[:cut] + noise))) <= {200, 400, 404, 405}
    with httpx.Client(base_url=victim.server.url, timeout=PATIENCE) as client:
        for seed in range(50):
            noise = random.Random(seed).randbytes(10_000)
            assert client.post("/v1/chat/completions", content=noise).status_code == 400
            assert client.post("/v1/audio/transcriptions", content=noise, headers={"content-type": "multipart/form-data; boundary=b"}).status_code == 400


# What two servers in a row may read differently: it must never be two requests.
SMUGGLED = [
    b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET,
    b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + GET,
    b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n" + GET,
    b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0, 44\r\n\r\n" + GET,
    b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: +0\r\n\r\n" + GET,
    b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0x0\r\n\r\n" + GET,
    b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n" + GET,
    b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n" + GET,
    b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length : 0\r\n\r\n" + GET,
    b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + GET,
    b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + GET,
    b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + GET,
    b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + GET,
    b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx\r\n0\r\n\r\n" + GET,
    b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n" + GET,
    b"GET /health\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET,
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\r\n folded\r\n\r\n" + GET,
    b"GET /health HTTP/1.1\r\n Host: localhost\r\n\r\n" + GET,
    b"GET /health HTTP/1.1\nHost: localhost\n\n" + GET,
    b"GET /health HTTP/1.1\rHost: localhost\r\r" + GET,
    b"GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n" + GET,
    b"GET /health\r\nHost: localhost\r\n\r\n" + GET,
]


@pytest.mark.parametrize("data", SMUGGLED)
def test_smuggling(victim, data):
    found = statuses(victim.exchange(data))
    # A route that takes no POST says so before it reads what it would not want.
    assert found in ([], [400], [405]), found


def test_pipelining(victim):
    ask = post(CHAT)
    answer = victim.exchange(GET * 20 + ask + GET.replace(b"/health", b"/v1/nothing") + ask + GET[:-2] + b"Connection: close\r\n\r\n")
    assert statuses(answer) == [200] * 21 + [404, 200, 200] and answer.count(b"quiet") == 2


def test_closing(victim):
    for value in [b"close", b"Close", b"keep-alive, CLOSE"]:
        assert statuses(victim.exchange(GET[:-2] + b"Connection: " + value + b"\r\n\r\n")) == [200]


def test_header_floods(victim):
    for head in [b"".join(b"X-%d: y\r\n" % index for index in range(5000)), b"X: " + b"y" * 1_000_000 + b"\r\n", b"X: " + b"y" * 1_000_000, b"y" * 1_000_000]:
        assert set(statuses(victim.exchange(GET[:-2] + head))) <= {400, 431}
    assert statuses(victim.exchange(b"GET /" + b"y" * 1_000_000)) in ([400], [414], [431], [])


def test_dropped_at_every_moment(victim):
    request = post(LONG)
    for cut in range(0, len(request)):
        with victim.connection() as connection:
            connection.sendall(request[:cut])
    for count in range(0, 600, 20):
        with victim.connection() as connection:
            connection.sendall(request)
            seen = 0
            while seen < count:
                seen += len(connection.recv(20))


def test_reset_at_every_moment(victim):
    """The same with a reset in the place of an orderly end."""
    request = post(LONG)
    for cut in range(0, len(request) + 1, 3):
        with victim.connection() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            connection.sendall(request[:cut])


def test_half_closed(victim):
    """A client that shuts its sending side looks like one that went away: what needs the model ends, the rest is answered."""
    with victim.connection() as connection:
        connection.sendall(GET)
        connection.shutdown(socket.SHUT_WR)
        assert statuses(read(connection)) == [200]
    with victim.connection() as connection:
        connection.sendall(post(LONG))
        connection.shutdown(socket.SHUT_WR)
        read(connection)


@pytest.mark.parametrize("path", [
    "//////", "/..", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/%00", "/%", "/%zz", "/v1/models/%00%ff", "/v1/models/" + "x" * 8000, "/?" + "a=b&" * 2000,
    "/v1/models/../chat/completions", "/%F0%9F%92%A9", "*", "http://evil.example/health", "/v1/responses/" + "%25" * 1000, "/;/", "/v1/chat/completions?stream=true"])
def test_absurd_paths(victim, path):
    found = statuses(victim.exchange(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()))
    assert len(found) == 1 and found[0] < 500


@pytest.mark.parametrize("method", ["BREW", "TRACE", "CONNECT", "PROPFIND", "get", "G" * 1000, "OPTIONS", "PUT", "PATCH", "PRI", "M-SEARCH", "SOURCE"])
def test_absurd_methods(victim, method):
    found = statuses(victim.exchange(f"{method} /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()))
    assert len(found) <= 1 and all(status in (204, 400, 405) for status in found)


def test_upgrades(victim):
    """Nothing is upgraded to; the request is answered as it is."""
    for lines in [b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
                  b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"]:
        assert statuses(victim.exchange(GET[:-2] + lines + b"\r\n", ends=False))[0] == 200
    assert set(statuses(victim.exchange(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)))) <= {400}
    assert set(statuses(victim.exchange(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)))) <= {400}


def test_continue(victim):
    with victim.connection() as connection:
        connection.sendall(post(b"", "/v1/chat/completions", f"Content-Length: {len(CHAT)}", "Expect: 100-continue", "Connection: close"))
        assert statuses(connection.recv(1000)) == [100]
        connection.sendall(CHAT)
        assert statuses(read(connection)) == [200]
    assert statuses(victim.exchange(post(b"", "/v1/chat/completions", "Content-Length: 1000000000", "Expect: 100-continue"))) == [413]
    assert statuses(victim.exchange(post(b"", "/v1/nothing", "Content-Length: 1000000", "Expect: 100-continue"))) == [404]


def test_more_connections_than_allowed():
    """Silent ones are closed after a while, and make room."""
    victim = Victim("--connections", "8", "--idle", "2")
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(victim.connection())
        victim.ask()
    victim.check()
    assert victim.server.stop() == 0
