"""A server that speaks the page's part of the OpenAI API and answers from a script, streaming.

The last question's text decides: "slow" streams for long, "busy" is a 429, "drop" breaks the connection, "full" is a context that
is too small, "say: TEXT" repeats TEXT. A request with a schema is answered by JSON, one with tools by a call.
"""

import json
import pathlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = pathlib.Path(__file__).resolve().parents[2] / "Sources" / "Gemma3nServer" / "Page"
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'")

MARKDOWN = """### Why the sky is blue

Light from the sun is **white**: a mixture of *all* colours. Air scatters the short waves most, an effect named after
[Rayleigh](https://example.org/rayleigh).

1. Blue light is scattered about `4.4` times as much as red.
2. At sunset its way through the air is long:
   - most blue is lost on the way,
   - red and orange are left.

> The same law colours the eyes of a newborn child.

```python
def scattering(wavelength):
    return 1 / wavelength ** 4
```

| colour | wavelength |
| --- | --- |
| blue | 450 nm |
| red | 650 nm |

<img src=x onerror="document.title='broken'"> stays text."""

JSON_ANSWER = {
    "name": "Johann Wolfgang Goethe", "born": 1749, "works": ["Faust", "Werther"],
    "places": [{"town": "Frankfurt", "years": 26}, {"town": "Weimar", "years": 57}], "alive": False,
}


class FakeServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, key=None, sizes=True, models=1, delay=0.0):
        super().__init__(("127.0.0.1", 0), Handler)
        self.key, self.sizes, self.models, self.delay = key, sizes, models, delay
        self.requests, self.conversations, self.aborted = [], [], threading.Event()
        self.is_busy, self.is_gone = True, False
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        """Takes no connection any more and ends those that are open at their next request."""
        self.is_gone = True
        self.shutdown()
        self.server_close()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/"

    def handle_error(self, request, client_address):
        pass


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/v1/models":
            if self.allowed():
                self.models()
            return
        file = PAGE / (path.strip("/") or "index.html")
        if file.parent != PAGE or not file.is_file():
            self.error(404, "not_found", f"There is nothing at {path}.")
            return
        self.body(200, file.read_bytes(), {"Content-Type": TYPES[file.suffix], "Content-Security-Policy": POLICY})

    def models(self):
        models = []
        for index in range(self.server.models):
            model = {"id": ["gemma-3n-E4B-it", "gemma-3n-E2B-it"][index], "object": "model", "created": 1, "owned_by": "google"}
            if self.server.sizes and index == 0:
                model["sizes"] = [{"name": "E4B", "parameters": 3980000000}, {"name": "E2B", "parameters": 1905000000},
                                  {"name": "E2.54B", "parameters": 2521000000}, {"name": "E2.98B", "parameters": 2974000000},
                                  {"name": "E3.39B", "parameters": 3377000000}]
            models.append(model)
        self.json(200, {"object": "list", "data": models})

    def do_POST(self):
        if self.server.is_gone:
            self.close_connection = True
            return
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.allowed():
            return
        self.server.requests.append(request)
        self.server.conversations.append(self.headers["X-Conversation-Id"])
        text = self.last_question(request)
        if text == "busy" and self.server.is_busy:
            self.error(429, "rate_limit_exceeded", "Eight conversations are waiting already.", {"Retry-After": "2"})
        elif text == "full":
            self.error(400, "context_length_exceeded", "The conversation has 9000 tokens, the context holds 8192.")
        else:
            self.stream(request, text)

    def last_question(self, request):
        content = [message for message in request["messages"] if message["role"] == "user"][-1]["content"]
        if isinstance(content, str):
            return content
        return "\n".join(part["text"] for part in content if part["type"] == "text")

    def stream(self, request, text):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        last = request["messages"][-1]
        try:
            self.event({"role": "assistant", "content": ""})
            if request.get("tools") and request.get("tool_choice") != "none" and last["role"] != "tool":
                tokens = self.calls(request, text)
                finish = "tool_calls"
            else:
                tokens = self.words(request, text, last)
                finish = "stop"
            usage = {"prompt_tokens": 160, "completion_tokens": tokens, "total_tokens": 160 + tokens,
                     "prompt_tokens_details": {"cached_tokens": 120 if len(request["messages"]) > 2 else 0}}
            self.event({}, finish)
            self.chunk({"choices": [], "usage": usage, "size": request.get("size", "E4B")})
            self.wfile.write(b"data: [DONE]\n\n")
        except (BrokenPipeError, ConnectionResetError):
            self.server.aborted.set()

    def calls(self, request, text):
        for index, tool in enumerate(request["tools"]):
            name = tool["function"]["name"]
            arguments = {"calculate": {"expression": "(3 + 4) * 2.5"}, "weather": {"place": "Zürich"}}.get(name, {})
            if text == "wrong" and name == "calculate":
                arguments = {"expression": "3 +"}
            written = json.dumps(arguments, ensure_ascii=False)
            self.event({"tool_calls": [{"index": index, "id": f"call_{name}", "type": "function",
                                        "function": {"name": name, "arguments": ""}}]})
            for start in range(0, len(written), 6):
                self.event({"tool_calls": [{"index": index, "function": {"arguments": written[start:start + 6]}}]})
        return 12

    def words(self, request, text, last):
        if request.get("response_format", {}).get("type") == "json_schema":
            answer = json.dumps(JSON_ANSWER, ensure_ascii=False)
        elif last["role"] == "tool":
            answer = "The result is " + "; ".join(message["content"] for message in request["messages"] if message["role"] == "tool") + "."
        elif text.startswith("say: "):
            answer = text[5:]
        elif "sky" in text:
            answer = MARKDOWN
        elif text == "slow":
            answer = "one more word " * 400
        elif text == "drop":
            answer = "The first half of an answer"
        else:
            kinds = [part["type"] for message in request["messages"] if isinstance(message["content"], list) for part in message["content"]]
            answer = f"You sent {', '.join(kinds) or 'text'}. " + f"This is answer {len(self.server.requests)}."
        tokens = 0
        for start in range(0, len(answer), 5):
            self.event({"content": answer[start:start + 5]})
            tokens += 1
            time.sleep(0.02 if text == "slow" else self.server.delay)
        if text == "drop":
            self.connection.close()
            raise BrokenPipeError
        return tokens

    def event(self, delta, finish=None):
        self.chunk({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None})

    def chunk(self, fields):
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gemma-3n-E4B-it", **fields}
        self.wfile.write(b": ping\n\ndata: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.flush()

    def allowed(self):
        if self.server.key and self.headers.get("Authorization") != f"Bearer {self.server.key}":
            self.error(401, "invalid_api_key", "This server needs its key.")
            return False
        return True

    def error(self, status, code, message, headers=None):
        self.json(status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}, headers)

    def json(self, status, value, headers=None):
        self.body(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def body(self, status, data, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    server = FakeServer(delay=0.02)
    print(server.address)
    threading.Event().wait()
