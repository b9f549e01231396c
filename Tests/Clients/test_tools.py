"""Tools, by all three clients."""

import json

import anthropic
import ollama
import openai
import pytest

from conftest import KEY

MODEL = "gemma3n-demo"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "The weather of a city.", "parameters": PARAMETERS}
WEATHER = {"type": "function", "function": FUNCTION}
QUESTION = [{"role": "user", "content": "What is the weather?"}]


@pytest.fixture(scope="module")
def client(url):
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)


@pytest.fixture(scope="module")
def claude(url):
    return anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0)


@pytest.fixture(scope="module")
def llama(url):
    return ollama.Client(host=url, headers={"Authorization": f"Bearer {KEY}"})


def city(arguments):
    return json.loads(arguments)["city"] in ("Paris", "Rome")


def test_chat(client):
    options = {"model": MODEL, "tools": [WEATHER], "max_tokens": 200}
    answer = client.chat.completions.create(messages=QUESTION, tool_choice="required", parallel_tool_calls=False, **options).choices[0]
    call = answer.message.tool_calls[0]
    assert answer.finish_reason == "tool_calls" and answer.message.content is None
    assert call.function.name == "get_weather" and city(call.function.arguments)
    messages = QUESTION + [answer.message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    assert client.chat.completions.create(messages=messages, tool_choice="none", **options).choices[0].message.content is not None


def test_chat_stream(client):
    with client.chat.completions.stream(model=MODEL, messages=QUESTION, tools=[WEATHER], tool_choice="required", parallel_tool_calls=False, max_tokens=200) as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert calls and all(city(call.function.arguments) for call in calls)


def test_responses(client):
    options = {"model": MODEL, "tools": [{"type": "function", **FUNCTION}], "max_output_tokens": 200}
    answer = client.responses.create(input=QUESTION, tool_choice="required", parallel_tool_calls=False, **options)
    call = answer.output[0]
    assert call.type == "function_call" and city(call.arguments)
    output = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
    assert client.responses.create(input=output, previous_response_id=answer.id, tool_choice="none", **options).output[0].type == "message"
    with client.responses.stream(input=QUESTION, tool_choice="required", parallel_tool_calls=False, **options) as stream:
        events = [event.type for event in stream]
    assert "response.function_call_arguments.delta" in events and "response.function_call_arguments.done" in events


def test_messages(claude):
    tool = {"name": "get_weather", "description": "The weather of a city.", "input_schema": PARAMETERS}
    options = {"model": MODEL, "max_tokens": 200, "tools": [tool]}
    answer = claude.messages.create(messages=QUESTION, tool_choice={"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True}, **options)
    call = answer.content[0]
    assert answer.stop_reason == "tool_use" and call.type == "tool_use" and call.input["city"] in ("Paris", "Rome")
    messages = QUESTION + [
        {"role": "assistant", "content": [call.model_dump(include={"type", "id", "name", "input"})]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]},
    ]
    assert claude.messages.create(messages=messages, tool_choice={"type": "none"}, **options).content[0].type == "text"
    with claude.messages.stream(messages=QUESTION, tool_choice={"type": "any", "disable_parallel_tool_use": True}, **options) as stream:
        final = stream.get_final_message()
    assert final.stop_reason == "tool_use" and final.content[0].input["city"] in ("Paris", "Rome")


def test_ollama(llama):
    answer = llama.chat(MODEL, QUESTION, tools=[WEATHER], options={"temperature": 0, "num_predict": 200})
    assert answer.message.content or answer.message.tool_calls
    call = {"function": {"name": "get_weather", "arguments": {"city": "Rome"}}}
    messages = QUESTION + [{"role": "assistant", "content": "", "tool_calls": [call]}, {"role": "tool", "content": "sunny", "tool_name": "get_weather"}]
    assert llama.chat(MODEL, messages, tools=[WEATHER], options={"num_predict": 20}).done
