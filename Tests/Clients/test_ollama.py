import json

import httpx
import ollama
import pytest

from conftest import KEY, encoded

MODEL = "gemma3n-demo"
COLD = {"temperature": 0}


@pytest.fixture(scope="module")
def client(url):
    return ollama.Client(host=url, headers={"Authorization": f"Bearer {KEY}"})


def test_models(client):
    assert client.list().models[0].model == MODEL
    assert client.ps().models[0].model == MODEL
    shown = client.show(MODEL)
    assert {"completion", "vision", "tools"} <= set(shown.capabilities) and shown.details.family == "gemma3n"


def test_chat(client):
    messages = [{"role": "user", "content": "Tell me the opposite of loud."}]
    answer = client.chat(MODEL, messages, options=COLD)
    assert answer.message.content == "quiet" and answer.done and answer.done_reason == "stop"
    assert answer.total_duration > 0 and answer.eval_count > 0 and answer.prompt_eval_count > 0
    chunks = list(client.chat(f"{MODEL}:latest", messages, options=COLD, stream=True))
    assert "".join(chunk.message.content for chunk in chunks) == "quiet" and chunks[-1].done


def test_generate(client):
    assert client.generate(MODEL, "Tell me the opposite of loud.", options=COLD).response == "quiet"
    assert client.generate(MODEL, "What do you see?", images=[encoded("picture.png")], options=COLD).response == "a purple circle and a green triangle"
    assert client.generate(MODEL, "").done_reason == "load"
    assert client.generate(MODEL, "the", raw=True, options={"num_predict": 3, **COLD}).done_reason in ("length", "stop")


def test_media_in_messages(client):
    def seen(question, name):
        message = {"role": "user", "content": question, "images": [encoded(name)]}
        return client.chat(MODEL, [message], options=COLD).message.content

    assert seen("What do you see?", "picture.png") == "a purple circle and a green triangle"
    assert seen("What is said?", "speech.wav") == "red blue left one"


def test_format(client):
    schema = {"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}, "required": ["kind"], "additionalProperties": False}
    answer = client.chat(MODEL, [{"role": "user", "content": "Which?"}], format=schema)
    assert json.loads(answer.message.content)["kind"] in ("a", "b")


def test_embed(client):
    answer = client.embed(MODEL, ["red circle", "blue square"])
    assert len(answer.embeddings) == 2 and answer.prompt_eval_count > 0
    assert len(client.embeddings(MODEL, "red circle").embedding) == len(answer.embeddings[0])


def test_root(url, client):
    assert httpx.get(url).text == "Ollama is running" and httpx.head(url).status_code == 200
    assert "<html" in httpx.get(url, headers={"accept": "text/html"}).text
    assert len(client.list().models[0].digest) == 64


def test_loading(client):
    assert client.generate(MODEL, "", keep_alive=0).done_reason == "unload"
    assert client.chat(MODEL, [], keep_alive="5m").done_reason == "load"
    assert client.pull(MODEL).status == "success" and list(client.pull(MODEL, stream=True))[-1].status == "success"
    for refused in [lambda: client.push(MODEL), lambda: client.delete(MODEL), lambda: client.copy(MODEL, "other"), lambda: client.create("other", from_=MODEL)]:
        with pytest.raises(ollama.ResponseError) as error:
            refused()
        assert error.value.status_code == 501 and "This server does not" in error.value.error
    with pytest.raises(ollama.ResponseError) as error:
        client.pull("other")
    assert error.value.status_code == 404


def test_errors(client):
    with pytest.raises(ollama.ResponseError) as error:
        client.chat("other", [{"role": "user", "content": "x"}])
    assert error.value.status_code == 404 and "other" in error.value.error
    with pytest.raises(ollama.ResponseError) as error:
        client.generate(MODEL, "x", options={"num_predict": "many"}, stream=False)
    assert error.value.status_code == 400
