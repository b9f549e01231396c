import base64
import json
import struct

import openai
import pydantic
import pytest

from conftest import DEMO, KEY, encoded

MODEL = "gemma3n-demo"


@pytest.fixture(scope="module")
def client(url):
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)


def ask(client, content, **options):
    return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": content}], **options)


def test_models(client):
    assert [model.id for model in client.models.list()][0] == MODEL
    assert client.models.retrieve("gpt-4o-mini").id == "gpt-4o-mini"
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("nothing")
    assert error.value.code == "model_not_found"


def test_chat(client):
    answer = ask(client, "Tell me the opposite of loud.", temperature=0)
    assert answer.choices[0].message.content == "quiet" and answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.id.startswith("chatcmpl-") and answer.system_fingerprint


def test_stream(client):
    whole = ask(client, "Tell me the opposite of loud.", temperature=0).choices[0].message.content
    chunks = list(ask(client, "Tell me the opposite of loud.", temperature=0, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == whole
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_picture(client):
    content = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded('picture.png')}"}},
        {"type": "text", "text": "What do you see?"},
    ]
    assert ask(client, content, temperature=0).choices[0].message.content == "a purple circle and a green triangle"


def test_sound(client):
    content = [
        {"type": "input_audio", "input_audio": {"data": encoded("speech.wav"), "format": "wav"}}, {"type": "text", "text": "What is said?"},
    ]
    assert ask(client, content, temperature=0).choices[0].message.content == "red blue left one"


def test_video(client):
    content = [
        {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{encoded('video.mp4')}"}},
        {"type": "text", "text": "Which colour comes first?"},
    ]
    assert ask(client, content, temperature=0).choices[0].message.content == "purple"


def test_options(client):
    answer = ask(
        client, "Say something.", n=2, seed=7, temperature=1.5, max_completion_tokens=5, logprobs=True, top_logprobs=3, stop=["zzz"],
        logit_bias={"5": -1.0}, presence_penalty=0.5, frequency_penalty=0.5, top_p=0.9, extra_body={"top_k": 50, "min_p": 0.01, "size": "half"})
    again = ask(client, "Say something.", n=2, seed=7, temperature=1.5, max_completion_tokens=5, stop=["zzz"], logit_bias={"5": -1.0},
                presence_penalty=0.5, frequency_penalty=0.5, top_p=0.9, extra_body={"top_k": 50, "min_p": 0.01, "size": "half"})
    assert len(answer.choices) == 2
    assert [choice.message.content for choice in answer.choices] == [choice.message.content for choice in again.choices]
    for choice in answer.choices:
        tokens = choice.logprobs.content
        assert len(tokens) <= 5 and all(len(token.top_logprobs) == 3 and token.logprob <= 0 for token in tokens)


class Person(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    age: int = pydantic.Field(ge=0, le=99)
    kind: str = pydantic.Field(pattern="^[ab]{1,3}$")


def test_parse(client):
    answer = client.chat.completions.parse(
        model=MODEL, messages=[{"role": "user", "content": "Describe somebody."}], response_format=Person, max_tokens=100)
    assert isinstance(answer.choices[0].message.parsed, Person)


def test_json_object(client):
    answer = ask(client, "Describe somebody.", response_format={"type": "json_object"}, max_tokens=60, temperature=0)
    if answer.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(answer.choices[0].message.content), dict)


def test_completions(client):
    answer = client.completions.create(model=MODEL, prompt=["the", "a"], max_tokens=4, temperature=0, logprobs=2, echo=True)
    assert len(answer.choices) == 2 and answer.choices[0].text.startswith("the")
    assert len(answer.choices[0].logprobs.tokens) == len(answer.choices[0].logprobs.token_logprobs)
    text = "".join(chunk.choices[0].text for chunk in client.completions.create(model=MODEL, prompt="the", max_tokens=4, temperature=0, stream=True))
    assert "the" + text == answer.choices[0].text


def test_embeddings(client):
    floats = client.embeddings.create(model=MODEL, input=["red circle", "blue square"], encoding_format="float")
    packed = client.embeddings.create(model=MODEL, input="red circle", encoding_format="base64").data[0].embedding
    if isinstance(packed, str):
        raw = base64.b64decode(packed)
        packed = struct.unpack(f"<{len(raw) // 4}f", raw)
    assert len(floats.data) == 2 and abs(sum(x * x for x in floats.data[0].embedding) - 1) < 1e-3
    assert max(abs(a - b) for a, b in zip(floats.data[0].embedding, packed)) < 1e-6
    short = client.embeddings.create(model=MODEL, input="red circle", dimensions=8, encoding_format="float").data[0].embedding
    assert len(short) == 8 and abs(sum(x * x for x in short) - 1) < 1e-3


def test_responses(client):
    first = client.responses.create(model=MODEL, input="Tell me the opposite of loud.", temperature=0)
    assert first.output_text == "quiet" and first.status == "completed" and first.usage.output_tokens > 0
    second = client.responses.create(model=MODEL, input="Tell me the opposite of hot.", previous_response_id=first.id, temperature=0)
    assert second.usage.input_tokens > first.usage.input_tokens and second.previous_response_id == first.id
    assert client.responses.retrieve(first.id).output_text == "quiet"
    assert len(client.responses.input_items.list(first.id).data) == 1
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)


def test_responses_stream(client):
    with client.responses.stream(model=MODEL, input="Tell me the opposite of loud.", temperature=0) as stream:
        events = list(stream)
        final = stream.get_final_response()
    kinds = [event.type for event in events]
    assert kinds[:4] == ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"]
    assert kinds[-4:] == ["response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed"]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert final.output_text == "quiet"


def test_responses_shapes(client):
    assert isinstance(client.responses.parse(model=MODEL, input="Describe somebody.", text_format=Person).output_parsed, Person)


def test_responses_picture(client):
    content = [
        {"type": "input_image", "image_url": f"data:image/png;base64,{encoded('picture.png')}"}, {"type": "input_text", "text": "What do you see?"},
    ]
    answer = client.responses.create(model=MODEL, input=[{"role": "user", "content": content}], temperature=0)
    assert answer.output_text == "a purple circle and a green triangle"


def test_transcriptions(client):
    def heard(**options):
        with open(DEMO / "speech.wav", "rb") as file:
            return client.audio.transcriptions.create(model=MODEL, file=file, **options)

    assert heard().text == "red blue left one"
    assert heard(response_format="text").strip() == "red blue left one"
    assert "00:00:00,000 --> " in heard(response_format="srt")
    assert heard(response_format="vtt").startswith("WEBVTT\n\n00:00:00.000 --> ")
    verbose = heard(response_format="verbose_json", timestamp_granularities=["segment"])
    assert verbose.segments[0].start == 0 and abs(verbose.segments[-1].end - verbose.duration) < 0.01
    events = list(heard(stream=True))
    assert events[-1].type == "transcript.text.done" and events[-1].text == "red blue left one"
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta").strip() == "red blue left one"


def test_errors(client, url):
    with pytest.raises(openai.NotFoundError) as error:
        client.chat.completions.create(model="other", messages=[{"role": "user", "content": "x"}])
    assert error.value.code == "model_not_found" and error.value.param == "model"
    with pytest.raises(openai.BadRequestError) as error:
        ask(client, "x", temperature="warm")
    assert error.value.param == "temperature" and "must be a number, found a string" in error.value.message
    with pytest.raises(openai.BadRequestError):
        ask(client, [{"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}])
    with pytest.raises(openai.BadRequestError):
        ask(client, [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}])
    with pytest.raises(openai.BadRequestError):
        ask(client, [{"type": "image_url", "image_url": {"url": "/etc/passwd"}}])
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0).models.list()


def test_functions(client):
    """The form that tools replaced."""
    function = {"name": "look", "parameters": {"type": "object", "properties": {"at": {"enum": ["sky", "sea"]}}, "required": ["at"], "additionalProperties": False}}
    answer = ask(client, "Look.", functions=[function], function_call={"name": "look"}).choices[0]
    assert answer.finish_reason == "function_call" and answer.message.function_call.name == "look" and not answer.message.tool_calls
    assert json.loads(answer.message.function_call.arguments)["at"] in ("sky", "sea")
    chunks = list(ask(client, "Look.", functions=[function], function_call={"name": "look"}, temperature=0, stream=True))
    calls = [chunk.choices[0].delta.function_call for chunk in chunks if chunk.choices and chunk.choices[0].delta.function_call]
    assert calls[0].name == "look" and json.loads("".join(call.arguments or "" for call in calls))["at"] in ("sky", "sea")


def test_best_of(client):
    all_three = client.completions.create(model=MODEL, prompt="the red", n=3, logprobs=0, max_tokens=8, seed=4, temperature=2)
    means = [sum(choice.logprobs.token_logprobs) / len(choice.logprobs.token_logprobs) for choice in all_three.choices]
    best = client.completions.create(model=MODEL, prompt="the red", best_of=3, max_tokens=8, seed=4, temperature=2)
    assert [choice.text for choice in best.choices] == [all_three.choices[means.index(max(means))].text]


def test_verbose_transcription(client):
    with open(DEMO / "speech.wav", "rb") as file:
        heard = client.audio.transcriptions.create(model=MODEL, file=file, response_format="verbose_json")
    assert heard.segments[0].avg_logprob < 0 and 0.5 < heard.segments[0].compression_ratio < 2
    with open(DEMO / "speech.wav", "rb") as file:
        heard = client.audio.transcriptions.create(model=MODEL, file=file, include=["logprobs"])
    assert "".join(token.token for token in heard.logprobs).strip() == heard.text and heard.usage.input_token_details.audio_tokens > 0
