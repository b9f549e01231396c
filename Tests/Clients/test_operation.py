"""What an operator counts on: limits, ends, figures, and clients that misbehave."""

import json
import socket
import subprocess
import threading
import time
import urllib.parse

import httpx
import pytest

from conftest import KEY, PROGRAM, Server


def long_request(**more):
    # A ban on the tokens that end a turn makes answers as long as the context; there are many of them.
    return {"messages": [{"role": "user", "content": "Tell me everything."}], "stream": True, "max_tokens": 100000, "n": 16,
            "logit_bias": {"1": -1000, "6": -1000}, **more}


def test_health_and_metrics(http, url):
    assert httpx.get(f"{url}/health").json() == {"status": "ok"} and httpx.get(f"{url}/ready").status_code == 200
    assert httpx.get(f"{url}/metrics").status_code == 401
    text = http.get("/metrics").text
    assert "# TYPE gemma3n_requests_accepted_total counter" in text and 'gemma3n_http_requests_total{route="/health",method="GET",status="200"}' in text


def test_port_in_use(url):
    second = subprocess.run([PROGRAM, "serve", "--port", str(urllib.parse.urlsplit(url).port)], capture_output=True, text=True, timeout=60)
    assert second.returncode == 1 and "error: cannot listen on 127.0.0.1" in second.stderr


def test_request_ids(http):
    assert http.get("/v1/models", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert http.get("/v1/models").headers["x-request-id"].startswith("req_")


def test_routes(http):
    assert http.get("/v1/nothing").json()["error"]["code"] == "unknown_url"
    assert http.get("/api/nothing").json() == {"error": "There is nothing at /api/nothing."}
    wrong = http.get("/v1/chat/completions")
    assert wrong.status_code == 405 and wrong.headers["allow"] == "POST, OPTIONS"
    whole, head = http.get("/v1/models"), http.head("/v1/models")
    assert head.status_code == 200 and not head.content and head.headers["content-length"] == whole.headers["content-length"]
    options = http.options("/v1/models")
    assert options.status_code == 204 and options.headers["allow"] == "GET, HEAD, OPTIONS"


def test_files_of_the_page_are_sent_once(url):
    first = httpx.get(f"{url}/app.js")
    assert first.status_code == 200 and first.headers["etag"].startswith('"')
    again = httpx.get(f"{url}/app.js", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304 and not again.content and again.headers["etag"] == first.headers["etag"]
    assert httpx.head(f"{url}/app.js").headers["content-length"] == str(len(first.content))


def test_bodies(http):
    for body in [b"", b"{", b"[]", b"null", b'{"messages": ', b"\x00", b"[" * 100000, b'{"messages": [{"role": "user", "content": "\xff"}]}']:
        answer = http.post("/v1/chat/completions", content=body)
        assert answer.status_code == 400 and answer.json()["error"]["message"], body
    answer = http.post("/v1/messages", json={"model": "claude-demo", "messages": []})
    assert answer.status_code == 400 and answer.json()["type"] == "error" and "max_tokens" in answer.json()["error"]["message"]


def test_body_limit():
    server = Server("--max-body", "1MB")
    try:
        answer = httpx.post(f"{server.url}/v1/chat/completions", content=b"x" * 2_000_000)
        assert answer.status_code == 413 and answer.json()["error"]["code"] == "request_too_large"
        chunked = httpx.post(f"{server.url}/v1/chat/completions", content=(b"x" * 100_000 for _ in range(20)))
        assert chunked.status_code == 413
    finally:
        assert server.stop() == 0


def test_cors():
    server = Server("--cors", "https://app.example")
    try:
        asked = httpx.options(f"{server.url}/v1/models", headers={
            "origin": "https://app.example", "access-control-request-method": "POST", "access-control-request-headers": "authorization"})
        assert asked.status_code == 204 and asked.headers["access-control-allow-origin"] == "https://app.example"
        assert httpx.get(f"{server.url}/v1/models", headers={"origin": "https://evil.example"}).status_code == 403
        assert httpx.get(f"{server.url}/v1/models", headers={"host": "evil.example"}).status_code == 403
    finally:
        assert server.stop() == 0


def figure(client, name):
    return next(int(line.split()[1]) for line in client.get("/metrics").text.splitlines() if line.startswith(f"gemma3n_{name} "))


def wait_for(condition):
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come about")


@pytest.mark.timing
def test_client_that_goes_away(http):
    before = figure(http, "requests_cancelled_total")
    with http.stream("POST", "/v1/chat/completions", json=long_request()) as stream:
        for line in stream.iter_lines():
            if "content" in line:
                break
    wait_for(lambda: figure(http, "requests_running") == 0)
    # It was cut off, not answered to its end.
    assert figure(http, "requests_cancelled_total") > before


@pytest.mark.timing
def test_client_that_waits_and_goes_away(http, url):
    """The same without streaming: nothing is written that could fail."""
    before = figure(http, "requests_cancelled_total")
    parts = urllib.parse.urlsplit(url)
    body = json.dumps(long_request(stream=False)).encode()
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        wait_for(lambda: figure(http, "requests_running") + figure(http, "requests_queued") > 0)
    wait_for(lambda: figure(http, "requests_cancelled_total") > before)


@pytest.mark.timing
def test_full_queue():
    server = Server("--parallel", "1", "--queue", "1")
    answers = []

    def ask():
        with httpx.Client(timeout=60) as client, client.stream("POST", f"{server.url}/v1/chat/completions", json=long_request(n=1)) as stream:
            answers.append((stream.status_code, stream.headers.get("retry-after")))
            if stream.status_code == 200:
                next(stream.iter_lines())
                time.sleep(1)

    try:
        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refused = [seconds for status, seconds in answers if status == 429]
        assert refused and all(int(seconds) >= 1 for seconds in refused)
    finally:
        assert server.stop() == 0


def test_answers_under_way_finish():
    server = Server()
    lines = []
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=long_request(max_tokens=300, n=1), timeout=60) as stream:
        iterator = stream.iter_lines()
        lines.append(next(iterator))
        server.process.terminate()
        lines += list(iterator)
    assert lines[-2:] in (["data: [DONE]", ""], ["", "data: [DONE]"]) or "data: [DONE]" in lines[-3:]
    assert server.process.wait(timeout=60) == 0


@pytest.mark.timing
def test_slow_headers():
    server = Server("--idle", "1")
    parts = urllib.parse.urlsplit(server.url)
    try:
        with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: local")
            assert connection.recv(100) == b""
    finally:
        assert server.stop() == 0
