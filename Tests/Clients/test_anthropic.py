import json

import anthropic
import pytest

from conftest import KEY, encoded

MODEL = "claude-demo"
# Newer clients have no parameter for it.
COLD = {"temperature": 0}


@pytest.fixture(scope="module")
def client(url):
    return anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0)


def ask(client, content, **options):
    return client.messages.create(model=MODEL, max_tokens=100, messages=[{"role": "user", "content": content}], **options)


def test_message(client):
    answer = ask(client, "Tell me the opposite of loud.", extra_body=COLD)
    assert answer.content[0].text == "quiet" and answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0


def test_stream(client):
    with client.messages.stream(model=MODEL, max_tokens=100, extra_body=COLD, messages=[{"role": "user", "content": "Tell me the opposite of loud."}]) as stream:
        assert "".join(stream.text_stream) == "quiet"
        assert stream.get_final_message().stop_reason == "end_turn"


def test_picture(client):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": encoded("picture.png")}}
    answer = ask(client, [image, {"type": "text", "text": "What do you see?"}], extra_body=COLD)
    assert answer.content[0].text == "a purple circle and a green triangle"


def test_count(client):
    short = client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "hello"}])
    long = client.messages.count_tokens(model=MODEL, system="Be kind.", messages=[{"role": "user", "content": "hello hello hello"}])
    assert 0 < short.input_tokens < long.input_tokens


def test_stop_sequence(client):
    answer = ask(client, "Tell me the opposite of loud.", stop_sequences=["never", "ie"], extra_body=COLD)
    assert (answer.content[0].text, answer.stop_reason, answer.stop_sequence) == ("qu", "stop_sequence", "ie")
    with client.messages.stream(model=MODEL, max_tokens=100, stop_sequences=["ie"], extra_body=COLD,
                                messages=[{"role": "user", "content": "Tell me the opposite of loud."}]) as stream:
        final = stream.get_final_message()
    assert (final.stop_reason, final.stop_sequence) == ("stop_sequence", "ie") and final.usage.input_tokens + final.usage.cache_read_input_tokens > 0


def test_blocks(client):
    text = {"type": "text", "text": "Tell me the opposite of loud.", "cache_control": {"type": "ephemeral"}}
    assert ask(client, [text], metadata={"user_id": "u"}, thinking={"type": "enabled", "budget_tokens": 1024}, extra_body=COLD).content[0].text == "quiet"
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Tell me the opposite of loud."}}
    assert ask(client, [document], extra_body=COLD).content[0].text == "quiet"


def test_schema(client):
    schema = {"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}, "required": ["kind"], "additionalProperties": False}
    answer = ask(client, "Which?", output_config={"format": {"type": "json_schema", "schema": schema}})
    assert json.loads(answer.content[0].text)["kind"] in ("a", "b")


def test_models(client):
    assert [model.id for model in client.models.list()][0] == "gemma3n-demo"
    assert client.models.retrieve(MODEL).display_name == MODEL


def test_errors(client):
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="other", max_tokens=1, messages=[{"role": "user", "content": "x"}])
    with pytest.raises(anthropic.BadRequestError) as error:
        ask(client, [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "!!"}}])
    assert error.value.body["error"]["type"] == "invalid_request_error"
    with pytest.raises(anthropic.AuthenticationError):
        anthropic.Anthropic(base_url=error.value.request.url.copy_with(path="/"), api_key="wrong", max_retries=0).messages.create(
            model=MODEL, max_tokens=1, messages=[{"role": "user", "content": "x"}])
