"""Conversations, background answers, and what a killed server leaves behind."""

import os
import random
import signal
import sqlite3
import subprocess
import threading
import time

import httpx
import openai
import pytest

from conftest import KEY, PROGRAM, Server

MODEL = "gemma3n-demo"
LONG = {"max_output_tokens": 100000, "extra_body": {"logit_bias": {"1": -1000, "6": -1000}}}


@pytest.fixture(scope="module")
def client(url):
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)


def ended(client, response):
    for _ in range(2000):
        if response.status not in ("queued", "in_progress"):
            return response
        time.sleep(0.02)
        response = client.responses.retrieve(response.id)
    raise AssertionError("it did not end")


def test_conversations(client):
    made = client.conversations.create(metadata={"topic": "opposites"}, items=[{"type": "message", "role": "user", "content": "Hello."}])
    assert made.id.startswith("conv_") and made.metadata == {"topic": "opposites"}
    first = client.responses.create(model=MODEL, input="Tell me the opposite of loud.", conversation=made.id, temperature=0)
    second = client.responses.create(model=MODEL, input="Tell me the opposite of hot.", conversation={"id": made.id}, temperature=0)
    assert first.conversation.id == made.id and second.usage.input_tokens > first.usage.input_tokens
    items = list(client.conversations.items.list(made.id, order="asc", limit=2))
    assert [item.role for item in items] == ["user", "user", "assistant", "user", "assistant"]
    assert items[2].content[0].text == first.output_text and items[4].content[0].text == second.output_text
    assert [item.id for item in client.conversations.items.list(made.id, limit=2)] == [item.id for item in reversed(items)]
    added = client.conversations.items.create(made.id, items=[{"type": "message", "role": "user", "content": "One more."}])
    assert client.conversations.items.retrieve(added.data[0].id, conversation_id=made.id).content[0].text == "One more."
    client.conversations.items.delete(added.data[0].id, conversation_id=made.id)
    assert len(list(client.conversations.items.list(made.id))) == 5
    assert client.conversations.update(made.id, metadata={"topic": "others"}).metadata == {"topic": "others"}
    assert client.conversations.retrieve(made.id).metadata == {"topic": "others"}
    assert client.conversations.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(made.id)


def test_input_items(client):
    questions = [{"role": "user", "content": str(number)} for number in range(5)]
    response = client.responses.create(model=MODEL, input=questions, max_output_tokens=1)
    assert [item.content[0].text for item in client.responses.input_items.list(response.id, limit=2, order="asc")] == list("01234")


def test_background(client):
    begun = client.responses.create(model=MODEL, input="Tell me the opposite of loud.", temperature=0, background=True)
    assert begun.status == "queued" and begun.background
    assert ended(client, begun).output_text == "quiet"
    next_one = client.responses.create(model=MODEL, input="Tell me the opposite of hot.", previous_response_id=begun.id, temperature=0)
    assert next_one.status == "completed"


def test_background_stream(client):
    stream = client.responses.create(model=MODEL, input="Tell me the opposite of loud.", temperature=0, background=True, stream=True)
    first = next(iter(stream))
    stream.close()
    rest = list(client.responses.retrieve(first.response.id, stream=True, starting_after=first.sequence_number))
    assert [event.sequence_number for event in rest] == list(range(1, len(rest) + 1))
    assert rest[-1].type == "response.completed" and rest[-1].response.output_text == "quiet"
    again = list(client.responses.retrieve(first.response.id, stream=True))
    assert again[1:] == rest


def test_cancel(client):
    begun = client.responses.create(model=MODEL, input="Tell me everything.", background=True, **LONG)
    assert client.responses.cancel(begun.id).status == "cancelled"
    assert client.responses.retrieve(begun.id).status == "cancelled"
    plain = client.responses.create(model=MODEL, input="Hello.", max_output_tokens=1)
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(plain.id)


def test_locked(client):
    conversation = client.conversations.create()
    begun = client.responses.create(model=MODEL, input="Tell me everything.", background=True, conversation=conversation.id, **LONG)
    with pytest.raises(openai.ConflictError) as error:
        client.responses.create(model=MODEL, input="Hello.", conversation=conversation.id)
    assert error.value.code == "conversation_locked"
    client.responses.cancel(begun.id)
    assert client.responses.create(model=MODEL, input="Hello.", conversation=conversation.id, max_output_tokens=1).id


def test_files_that_are_none(tmp_path):
    (tmp_path / "text").write_text("no database " * 500)
    refused = subprocess.run([PROGRAM, "serve", "--port", "0", "--store", tmp_path / "text"], capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1 and "is no database" in refused.stderr
    server = Server("--store", str(tmp_path / "store"))
    try:
        second = subprocess.run([PROGRAM, "serve", "--port", "0", "--store", tmp_path / "store"], capture_output=True, text=True, timeout=60)
        assert second.returncode == 1 and "in use by another server" in second.stderr
    finally:
        assert server.stop() == 0


def test_draining(tmp_path):
    """Answers in the background end before the server does; what takes too long is answered by the next one."""
    store = str(tmp_path / "store")
    server = Server("--store", store)
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    short = client.responses.create(model=MODEL, input="Tell me the opposite of loud.", temperature=0, background=True)
    assert server.stop() == 0
    server = Server("--store", store, "--drain", "0")
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    assert client.responses.retrieve(short.id).output_text == "quiet"
    long = client.responses.create(model=MODEL, input="Tell me everything.", background=True, **LONG | {"max_output_tokens": 400})
    server.stop()
    server = Server("--store", store)
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    response = ended(client, client.responses.retrieve(long.id))
    assert response.status == "incomplete" and response.usage.output_tokens == 400
    assert server.stop() == 0


class Writer(threading.Thread):
    """A client that talks in one conversation and in a chain until its server dies, and notes what it was told."""

    def __init__(self, url, told, number):
        super().__init__()
        self.url, self.told, self.number = url, told, number
        self.start()

    def run(self):
        try:
            with httpx.Client(base_url=f"{self.url}/v1", timeout=30) as http:
                self.talk(http)
        except httpx.HTTPError:
            pass

    def talk(self, http):
        def post(path, body):
            answer = http.post(path, json=body)
            assert answer.status_code == 200, answer.text
            return answer.json()

        conversation = post("/conversations", {"metadata": {"writer": str(self.number)}})
        items = self.told["conversations"].setdefault(conversation["id"], [])
        previous = None
        for turn in range(10**6):
            question = f"{self.number} {turn}"
            body = {"input": question, "max_output_tokens": 2}
            if turn % 4 == 0:
                added = post(f"/conversations/{conversation['id']}/items", {"items": [{"role": "user", "content": question}]})
                items.append(added["data"][0])
            elif turn % 4 == 1:
                answer = post("/responses", body | {"conversation": conversation["id"]})
                items += answer["output"]
                self.told["responses"][answer["id"]] = answer
            elif turn % 4 == 2:
                answer = post("/responses", body | {"previous_response_id": previous})
                previous = answer["id"]
                self.told["responses"][previous] = answer
            else:
                begun = post("/responses", body | {"background": True})
                self.told["background"].append(begun["id"])


def check(http, store, told):
    for id, response in told["responses"].items():
        assert http.get(f"/responses/{id}").json() == response
    for id, items in told["conversations"].items():
        kept, after = {}, ""
        while True:
            page = http.get(f"/conversations/{id}/items?order=asc&limit=100{after}").json()
            kept |= {item["id"]: item for item in page["data"]}
            if not page["has_more"]:
                break
            after = f"&after={page['last_id']}"
        for item in items:
            assert kept[item["id"]] == item
        # A response enters a conversation whole: its question is followed by its answer.
        roles = [item["role"] for item in kept.values()]
        assert all(roles[place - 1] == "user" for place, role in enumerate(roles) if role == "assistant")
    for id in told["background"]:
        for _ in range(2000):
            status = http.get(f"/responses/{id}").json()["status"]
            if status not in ("queued", "in_progress"):
                break
            time.sleep(0.01)
        assert status in ("completed", "incomplete"), status
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM response WHERE status = 'in_progress' AND NOT isBackground").fetchone() == (0,)


def test_killed_servers_lose_nothing(tmp_path):
    """What a client was told is there after kill -9 at any moment, whole; what it was not told of is not half there."""
    store = str(tmp_path / "store")
    chance = random.Random(6)
    server = Server("--store", store)
    for _ in range(10):
        told = {"responses": {}, "conversations": {}, "background": []}
        writers = [Writer(server.url, told, number) for number in range(3)]
        # Any moment will do, once something was told.
        while len(told["background"]) < 3:
            assert any(writer.is_alive() for writer in writers)
            time.sleep(0.005)
        time.sleep(chance.random() * 0.1)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        for writer in writers:
            writer.join()
        assert told["responses"]
        server = Server("--store", store)
        with httpx.Client(base_url=f"{server.url}/v1", timeout=30) as http:
            check(http, store, told)
    assert server.stop() == 0
