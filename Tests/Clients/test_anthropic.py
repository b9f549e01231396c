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


def test_errors(client):
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="other", max_tokens=1, messages=[{"role": "user", "content": "x"}])
    with pytest.raises(anthropic.BadRequestError) as error:
        ask(client, [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "!!"}}])
    assert error.value.body["error"]["type"] == "invalid_request_error"
    with pytest.raises(anthropic.AuthenticationError):
        anthropic.Anthropic(base_url=error.value.request.url.copy_with(path="/"), api_key="wrong", max_retries=0).messages.create(
            model=MODEL, max_tokens=1, messages=[{"role": "user", "content": "x"}])
