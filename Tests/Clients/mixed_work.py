"""Streaming requests of every kind and protocol, and what their streams say: for tests with many clients at once."""

import dataclasses
import functools
import json
import random

from conftest import DEMO, encoded

WORD = {"type": "object", "properties": {"side": {"enum": ["left", "right"]}, "count": {"type": "integer"}}, "required": ["side", "count"]}
CITY = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris", "Rome", "Madrid"]}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "The weather of a city.", "parameters": CITY}
# The tokens that end a turn.
ENDS = {"1": -1000, "6": -1000}


@dataclasses.dataclass(frozen=True)
class Work:
    path: str
    body: dict
    answers: int = 1

    @property
    def key(self):
        return self.path + json.dumps(self.body, sort_keys=True)


def user(content):
    return [{"role": "user", "content": content}]


def chat(content, **more):
    return Work("/v1/chat/completions", {"messages": user(content), "stream": True, "max_tokens": 60, **more}, more.get("n", 1))


def picture(name, question):
    kind = "png" if name.endswith("png") else "jpeg"
    return [{"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{encoded(name)}"}}, {"type": "text", "text": question}]


def sound(name, question):
    return [{"type": "audio_url", "audio_url": {"url": f"data:audio/ogg;base64,{encoded(name)}"}}, {"type": "text", "text": question}]


def endless(**more):
    """An answer of as many tokens as the context holds: 2,000."""
    return chat("Tell me everything.", **{"temperature": 0, "max_tokens": 100_000, "logit_bias": ENDS, **more})


def slow(count):
    """Answers that take seconds, and megabytes each."""
    return endless(n=count, logprobs=True, top_logprobs=20)


@functools.cache
def mixed_work():
    """64 requests, all different, for 72 answers."""
    items = [json.loads(line) for line in (DEMO / "questions" / "items.jsonl").read_text().splitlines()]
    texts = random.Random(1).sample([item["question"] for item in items if item["kind"] == "text"], 26)
    pictures = [picture(f"questions/{item['file']}", item["question"]) for item in items if item["kind"] == "image"][:6]
    sounds = [sound(f"questions/{item['file']}", item["question"]) for item in items if item["kind"] == "audio"][:4]
    text = iter(texts)
    works = [chat(next(text), temperature=0) for _ in range(6)]
    works += [chat(next(text), temperature=1.5, seed=seed) for seed in range(6)]
    works += [chat(next(text), temperature=3.0, seed=seed, top_k=40, n=3, stop=["e", "the"]) for seed in range(3)]
    works += [chat(next(text), temperature=2.0, seed=7, n=2, logprobs=True, top_logprobs=2) for _ in range(2)]
    works += [chat(content, temperature=0) for content in pictures]
    works += [chat(content, temperature=1.5, seed=seed) for seed, content in enumerate(pictures[:3])]
    works += [chat(content, temperature=0) for content in sounds]
    works += [chat(sounds[0] + pictures[0], temperature=1.0, seed=4)]
    schema = {"type": "json_schema", "json_schema": {"name": "word", "schema": WORD}}
    works += [chat(next(text), response_format=schema, temperature=1.5, seed=seed) for seed in range(4)]
    tools = {"tools": [{"type": "function", "function": FUNCTION}], "tool_choice": "required", "parallel_tool_calls": False, "max_tokens": 200}
    works += [chat("What is the weather?", temperature=1.0, seed=seed, **tools) for seed in range(3)]
    works += [endless(max_tokens=300), endless(max_tokens=200, temperature=2.0, seed=3)]
    # A beginning that others share, so that some find it in the cache.
    shared = " ".join(["red blue green yellow"] * 40)
    works += [chat(f"{shared}. {question}", temperature=1.0, seed=2) for question in texts[:4]]

    works += [Work("/v1/completions", {"prompt": "the red", "stream": True, "max_tokens": 40, "temperature": 1.5, "seed": seed}) for seed in range(3)]
    works += [Work("/v1/responses", {"model": "gemma3n-demo", "input": next(text), "stream": True, "temperature": 1.0}
                   | {"max_output_tokens": 60, "seed": 5, "store": False}) for _ in range(2)]
    works += [Work("/v1/responses", {"model": "gemma3n-demo", "input": "What is the weather?", "stream": True, "temperature": 0, "store": False}
                   | {"tools": [{"type": "function", **FUNCTION}], "tool_choice": "required", "parallel_tool_calls": False})]
    works += [Work("/v1/messages", {"model": "gemma3n-demo", "max_tokens": 60, "stream": True, "temperature": 0, "messages": user(next(text))})
              for _ in range(3)]
    works += [Work("/v1/messages", {"model": "gemma3n-demo", "max_tokens": 60, "stream": True, "temperature": 0, "messages": user(
        [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": encoded("picture.png")}},
         {"type": "text", "text": "What do you see?"}])})]
    cold, warm = {"temperature": 0, "num_predict": 60}, {"temperature": 1.5, "num_predict": 60, "seed": 9}
    works += [Work("/api/chat", {"model": "gemma3n-demo", "messages": user(texts[0]), "options": options}) for options in [cold, warm]]
    works += [Work("/api/chat", {"model": "gemma3n-demo", "format": WORD, "messages": user(texts[1]), "options": warm})]
    works += [Work("/api/chat", {"model": "gemma3n-demo", "options": cold, "messages": [
        {"role": "user", "content": "What is said?", "images": [encoded("speech.wav")]}]})]
    works += [Work("/api/generate", {"model": "gemma3n-demo", "prompt": texts[2], "options": options}) for options in [cold, warm]]
    works += [chat(texts[index], temperature=5.0, seed=index) for index in range(64 - len(works))]
    assert len({work.key for work in works}) == 64 and sum(work.answers for work in works) == 72
    return works


class Told:
    """What a stream said, put together from its pieces: a value to compare. Raises on an error in the stream."""

    def __init__(self, path):
        self.path = path
        self.parts = {}
        self.ended = False

    def add(self, place, text):
        self.parts[place] = self.parts.get(place, "") + text

    def take(self, line):
        if self.path.startswith("/api/"):
            self.take_ollama(json.loads(line))
        elif line == "data: [DONE]":
            self.ended = True
        elif line.startswith("data: "):
            event = json.loads(line[6:])
            assert "error" not in event or event["error"] is None, line
            {"/v1/responses": self.take_response, "/v1/messages": self.take_message}.get(self.path, self.take_choices)(event)

    def take_choices(self, event):
        for choice in event["choices"]:
            place, delta = choice["index"], choice.get("delta", {})
            self.add((place, "text"), delta.get("content") or choice.get("text") or "")
            for call in delta.get("tool_calls", []):
                self.add((place, "call", call["index"]), call["function"].get("name", "") + call["function"].get("arguments", ""))
            for token in (choice.get("logprobs") or {}).get("content", []):
                self.add((place, "logprobs"), f"{token['token']} {token['logprob']} {token['top_logprobs']}\n")
            self.add((place, "finish"), choice["finish_reason"] or "")

    def take_response(self, event):
        if event["type"].endswith(".delta"):
            self.add(event["output_index"], event["delta"])
        if event["type"] in ("response.completed", "response.incomplete"):
            self.ended = True
            self.add("status", f"{event['response']['status']} {event['response']['usage']['output_tokens']}")

    def take_message(self, event):
        if event["type"] == "content_block_delta":
            self.add(event["index"], event["delta"].get("text") or event["delta"].get("partial_json") or "")
        if event["type"] == "message_delta":
            self.add("finish", f"{event['delta']['stop_reason']} {event['usage']['output_tokens']}")
        self.ended |= event["type"] == "message_stop"

    def take_ollama(self, event):
        assert "error" not in event, event
        self.add("text", event.get("response", "") or event.get("message", {}).get("content", ""))
        if event["done"]:
            self.ended = True
            self.add("finish", f"{event['done_reason']} {event['eval_count']}")


async def ask(client, work, leave_after=None, on_refusal=None):
    """The whole answer, or nothing if the client leaves after so many lines. Refusals for want of room are tried again as told."""
    while True:
        async with client.stream("POST", work.path, json=work.body) as reply:
            if reply.status_code != 429 or on_refusal is None:
                assert reply.status_code == 200, (reply.status_code, await reply.aread())
                told, count = Told(work.path), 0
                async for line in reply.aiter_lines():
                    if count == leave_after:
                        return None
                    count += 1
                    if line:
                        told.take(line)
                assert told.ended, f"{work.path} ended without an end: {told.parts}"
                return told.parts
            await reply.aread()
        await on_refusal(reply)
