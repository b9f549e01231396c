"""Files and batches, also when the server is killed."""

import collections
import json
import pathlib
import resource
import socket
import subprocess
import time
import urllib.parse

import httpx
import openai
import pytest

from conftest import KEY, PROGRAM, Server

MODEL = "gemma3n-demo"


@pytest.fixture(scope="module")
def client(url):
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)


def to(server):
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def line(name, **more):
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Tell me the opposite of loud."}], "temperature": 0, **more}
    return json.dumps({"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body})


# A ban on the tokens that end a turn makes answers as long as they may be.
LONG = {"logit_bias": {"1": -1000, "6": -1000}}


def start(client, lines, **more):
    file = client.files.create(file=("lines.jsonl", "\n".join(lines).encode()), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", **more)


def wait(client, batch, until=lambda batch: batch.status in ("completed", "failed", "expired", "cancelled")):
    for _ in range(6000):
        batch = client.batches.retrieve(batch.id)
        if until(batch):
            return batch
        time.sleep(0.01)
    raise AssertionError(f"it did not come about: {batch}")


def records(client, file):
    return [json.loads(text) for text in client.files.content(file).text.splitlines()]


def test_files(client):
    file = client.files.create(
        file=("notes.txt", b"one\r\ntwo\0"), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600})
    assert file.object == "file" and file.bytes == 9 and file.filename == "notes.txt" and file.status == "processed"
    assert file.expires_at == file.created_at + 3600
    second = client.files.create(file=pathlib.Path(__file__), purpose="batch")
    assert second.filename == "test_batches.py" and client.files.content(second.id).read() == pathlib.Path(__file__).read_bytes()
    assert [item.id for item in client.files.list(limit=1)][:2] == [second.id, file.id]
    assert [item.id for item in client.files.list(purpose="user_data")] == [file.id]
    assert client.files.retrieve(file.id) == file and client.files.content(file.id).read() == b"one\r\ntwo\0"
    for item in (file, second):
        assert client.files.delete(item.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(item.id)
    with pytest.raises(openai.BadRequestError) as error:
        client.files.create(file=("x", b"x"), purpose="nothing")
    assert error.value.param == "purpose"


def test_large_file(client):
    content = bytes(range(256)) * 40_000
    file = client.files.create(file=("large.bin", content), purpose="user_data")
    assert file.bytes == len(content) and client.files.content(file.id).read() == content
    assert client.files.delete(file.id).deleted


def test_batch(client):
    batch = start(client, [line("a"), line("b", model="other"), line("c", max_tokens=1)], metadata={"for": "tests"})
    assert batch.status == "validating" and batch.metadata == {"for": "tests"} and batch.expires_at == batch.created_at + 86400
    batch = wait(client, batch)
    assert batch.status == "completed" and batch.errors is None
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (3, 2, 1)
    answers = {record["custom_id"]: record["response"]["body"] for record in records(client, batch.output_file_id)}
    assert answers["a"]["choices"][0]["message"]["content"] == "quiet" and answers["c"]["choices"][0]["finish_reason"] == "length"
    assert batch.usage.output_tokens == sum(answer["usage"]["completion_tokens"] for answer in answers.values())
    failure, = records(client, batch.error_file_id)
    assert failure["custom_id"] == "b" and failure["response"]["status_code"] == 404
    assert failure["response"]["body"]["error"]["code"] == "model_not_found"
    assert client.files.retrieve(batch.output_file_id).purpose == "batch_output"
    later = start(client, ["oops"])
    assert [item.id for item in client.batches.list(limit=1)][:2] == [later.id, batch.id]
    later = wait(client, later)
    assert later.status == "failed" and later.errors.data[0].line == 1 and later.errors.data[0].code == "invalid_json_line"


def test_cancelled_batch(client):
    batch = start(client, [line("a")] + [line(f"long {n}", n=16, **LONG) for n in range(20)])
    wait(client, batch, until=lambda batch: batch.request_counts.completed > 0)
    assert client.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    batch = wait(client, batch)
    assert batch.status == "cancelled" and batch.cancelled_at >= batch.cancelling_at
    assert "a" in [record["custom_id"] for record in records(client, batch.output_file_id)]


def test_batch_of_a_killed_server(tmp_path):
    """No line is lost, none is answered twice, however often the server dies."""
    count = 120
    lines = [line(f"line {n}", max_tokens=40, seed=n, temperature=1, **LONG) if n % 10 else line(f"line {n}", model="other") for n in range(count)]
    server = Server("--files", str(tmp_path / "files"))
    batch = start(to(server), lines)
    for death in range(1, 6):
        def is_far(batch):
            return batch.request_counts.completed + batch.request_counts.failed >= death * 10 or batch.status == "completed"
        wait(to(server), batch, until=is_far)
        server.kill()
        server = Server("--files", str(tmp_path / "files"))
    client = to(server)
    batch = wait(client, batch)
    assert batch.status == "completed"
    assert (batch.request_counts.completed, batch.request_counts.failed) == (count - count // 10, count // 10)
    done = collections.Counter(record["custom_id"] for file in (batch.output_file_id, batch.error_file_id) for record in records(client, file))
    assert done == {f"line {n}": 1 for n in range(count)}
    # An answer is the one it is alone.
    answers = {record["custom_id"]: record["response"]["body"]["choices"] for record in records(client, batch.output_file_id)}
    for n in (1, count - 1):
        assert httpx.post(f"{server.url}/v1/chat/completions", json=json.loads(lines[n])["body"]).json()["choices"] == answers[f"line {n}"]
    assert server.stop() == 0


def test_stopping_leaves_a_batch_to_the_next_server(tmp_path):
    files = str(tmp_path / "files")
    server = Server("--files", files)
    batch = start(to(server), [line(f"{n}", n=8, max_tokens=100, **LONG) for n in range(12)])
    wait(to(server), batch, until=lambda batch: batch.request_counts.completed > 0)
    assert server.stop() == 0
    server = Server("--files", files)
    batch = wait(to(server), batch)
    assert batch.status == "completed" and batch.request_counts.completed == 12
    assert sorted(record["custom_id"] for record in records(to(server), batch.output_file_id)) == sorted(map(str, range(12)))
    assert server.stop() == 0


def half_upload(server):
    """Sends the beginning of a file, and waits until it is on the disk."""
    parts = urllib.parse.urlsplit(server.url)
    head = b"--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n"
    connection = socket.create_connection((parts.hostname, parts.port))
    connection.sendall(b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 10000000\r\n\r\n" + head)
    connection.sendall(b"x" * 1_000_000)
    return connection


def names(path):
    return sorted(item.name for item in path.iterdir()) if path.exists() else []


def wait_for(condition):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come about")


def test_half_uploads(tmp_path):
    files = tmp_path / "files"
    server = Server("--files", str(files))
    # A client that goes away.
    connection = half_upload(server)
    wait_for(lambda: any(name.endswith(".tmp") for name in names(files)))
    connection.close()
    wait_for(lambda: names(files) == ["lock"])
    # A server that is killed.
    connection = half_upload(server)
    wait_for(lambda: any(name.endswith(".tmp") for name in names(files)))
    server.kill()
    connection.close()
    server = Server("--files", str(files))
    assert names(files) == ["lock"] and list(to(server).files.list()) == []
    assert server.stop() == 0


def test_one_server_at_a_time(tmp_path):
    server = Server("--files", str(tmp_path))
    second = subprocess.run([PROGRAM, "serve", "--port", "0", "--files", str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert second.returncode == 1 and "is used by another server that runs now. Stop it, or give another folder by --files." in second.stderr
    (tmp_path / "file").write_text("x")
    third = subprocess.run([PROGRAM, "serve", "--port", "0", "--files", str(tmp_path / "file")], capture_output=True, text=True, timeout=60)
    assert third.returncode == 1 and third.stderr.startswith("error: ")
    assert server.stop() == 0


def test_full_disk(tmp_path):
    """A limit on the size of files stands for a disk that is full."""
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))

    # The signal that comes with it stays ignored, as Python has it.
    server = Server("--files", str(tmp_path), preexec_fn=limit, restore_signals=False)
    client = to(server)
    with pytest.raises(openai.APIStatusError) as error:
        client.files.create(file=("large", b"x" * 3_000_000), purpose="user_data")
    assert error.value.status_code == 507 and error.value.code == "insufficient_storage"
    assert names(tmp_path) == ["lock"]
    small = client.files.create(file=("small", b"x"), purpose="user_data")
    assert client.files.content(small.id).read() == b"x"
    assert server.stop() == 0
