"""deploy/nginx/gemma3n.conf in a real nginx, before two real servers with the demo model: caches, death, drain.

    python3 Tests/Deploy/test_servers.py        GEMMA3N names the program; by default .build/release/gemma3n
"""

import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import unittest

from test_nginx import Balancer, free_port

PROGRAM = os.environ.get("GEMMA3N", str(pathlib.Path(__file__).resolve().parents[2] / ".build" / "release" / "gemma3n"))
KEY = "sk-deploy"
# The demo model's tokens that end a turn: without them an answer is as long as it may be.
ENDS = {"1": -1000, "6": -1000}


class Server:
    def __init__(self, port):
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "--host", "127.0.0.1", "--port", str(port), "--name", f"replica-{port}", "--alias", "demo", "--api-key", KEY,
             "--drain", "60", "--log-level", "error"], stdout=subprocess.PIPE, text=True)
        assert re.search("answers at", self.process.stdout.readline())

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(60)
        self.process.stdout.close()


@unittest.skipUnless(os.access(PROGRAM, os.X_OK), f"needs {PROGRAM}")
class ServerTests(Balancer):
    def start_replicas(self):
        self.replicas = [Server(port) for port in self.ports]

    def request(self, conversation, messages, **more):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        self.addCleanup(connection.close)
        body = json.dumps({"model": "demo", "messages": messages, "temperature": 0, "max_tokens": 20, **more})
        connection.request("POST", "/v1/chat/completions", body, {"X-Conversation-Id": conversation, "Authorization": f"Bearer {KEY}"})
        return connection.getresponse()

    def answer(self, conversation, messages, **more):
        response = self.request(conversation, messages, **more)
        text = response.read()
        self.assertEqual(response.status, 200, text)
        return json.loads(text)

    def home(self, conversation):
        """The port of the replica that answers: only that one knows the name."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/v1/models", headers={"X-Conversation-Id": conversation, "Authorization": f"Bearer {KEY}"})
        name = json.loads(connection.getresponse().read())["data"][0]["id"]
        connection.close()
        return int(name.removeprefix("replica-"))

    def conversations_of(self, port, count):
        names = [f"conversation-{index}" for index in range(100)]
        return [name for name in names if self.home(name) == port][:count]

    def begin_stream(self, conversation, tokens):
        """A stream after its first event."""
        response = self.request(
            conversation, [{"role": "user", "content": "Tell me everything."}], stream=True, max_tokens=tokens, logit_bias=ENDS)
        self.assertEqual(response.status, 200)
        self.assertTrue(response.readline().startswith(b"data: {"))
        return response

    def test_each_turn_finds_the_one_before_in_its_replicas_cache(self):
        for conversation in self.conversations_of(self.ports[0], 2) + self.conversations_of(self.ports[1], 2):
            messages, before = [], 0
            for question in ["Tell me the opposite of loud.", "What is the capital of France?", "Tell me the opposite of hot."]:
                messages.append({"role": "user", "content": question})
                answer = self.answer(conversation, messages)
                cached = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
                # All of the last turn but what the template puts behind an answer.
                self.assertGreaterEqual(cached, before - 2, (conversation, question))
                before = answer["usage"]["prompt_tokens"]
                messages.append({"role": "assistant", "content": answer["choices"][0]["message"]["content"]})

    def test_death_in_the_middle_of_streams(self):
        dying, living = self.ports
        lost = [self.begin_stream(name, 2000) for name in self.conversations_of(dying, 3)]
        kept = [self.begin_stream(name, 300) for name in self.conversations_of(living, 3)]
        self.replicas[0].process.kill()
        for response in lost:
            try:
                self.assertNotIn(b"[DONE]", response.read())
            except http.client.IncompleteRead as cut:
                self.assertNotIn(b"[DONE]", cut.partial)
        for response in kept:
            self.assertTrue(response.read().endswith(b"data: [DONE]\n\n"))
        # Its conversations go on at the other one, and come back when it does.
        question = [{"role": "user", "content": "Tell me the opposite of loud."}]
        for name in [f"c{index}" for index in range(20)]:
            self.assertEqual(self.home(name), living)
            self.assertEqual(self.answer(name, question)["choices"][0]["message"]["content"], "quiet")
        self.replicas[0].stop()
        self.replicas[0] = Server(dying)
        deadline = time.monotonic() + 20
        while not any(self.home(f"c{index}") == dying for index in range(20)) and time.monotonic() < deadline:
            time.sleep(0.2)
        self.assertTrue(any(self.home(f"c{index}") == dying for index in range(20)))

    def test_replica_that_is_stopped_loses_no_request(self):
        """Streams under way, requests that wait, and those that come meanwhile."""
        stopping = self.ports[0]
        names = self.conversations_of(stopping, 12)
        streams = [self.begin_stream(name, 400) for name in names]
        failures, done = [], threading.Event()

        def keep_asking(name):
            while not done.is_set():
                try:
                    text = self.answer(name, [{"role": "user", "content": "Tell me the opposite of loud."}])["choices"][0]["message"]["content"]
                    assert text == "quiet", text
                except BaseException as failure:
                    failures.append(failure)
                    return

        threads = [threading.Thread(target=keep_asking, args=(name,)) for name in names[:4]]
        for thread in threads:
            thread.start()
        self.replicas[0].process.send_signal(signal.SIGTERM)
        for response in streams:
            self.assertTrue(response.read().endswith(b"data: [DONE]\n\n"))
        self.assertEqual(self.replicas[0].process.wait(60), 0)
        done.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual({self.home(name) for name in names}, {self.ports[1]})


if __name__ == "__main__":
    unittest.main()
