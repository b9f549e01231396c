"""deploy/nginx/gemma3n.conf in a real nginx, before two servers that say who they are: stickiness, death, drain, streams.

    python3 Tests/Deploy/test_nginx.py
"""

import getpass
import http.client
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONFIGURATION = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "nginx" / "gemma3n.conf"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Replica(ThreadingHTTPServer):
    """Answers with its name; `mode` says how: "ready", "stopping" (503), "full" (429), "breaks" (ends without an answer)."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, name, port):
        super().__init__(("127.0.0.1", port), Handler)
        self.name, self.mode, self.count = name, "ready", 0
        self.pieces = threading.Semaphore(0)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self.mode = "breaks"
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        pass


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body):
        self.server.count += 1
        if self.server.mode == "breaks":
            self.close_connection = True
        elif self.path == "/stream":
            self.stream()
        else:
            status = {"ready": 200, "stopping": 503, "full": 429}[self.server.mode]
            data = json.dumps({"replica": self.server.name, "length": len(body)}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if status != 200:
                self.send_header("Retry-After", "5")
            self.end_headers()
            self.wfile.write(data)

    def stream(self):
        """Sends a piece for each permit of the test, four in all."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for index in range(4):
            self.server.pieces.acquire(timeout=20)
            if self.server.mode == "breaks":
                return
            self.wfile.write(f"data: {self.server.name} {index}\n\n".encode())
            self.wfile.flush()


class Balancer(unittest.TestCase):
    """nginx with the configuration, before what `start_replicas` puts at two ports."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.port, self.ports = free_port(), [free_port(), free_port()]
        self.start_replicas()
        self.write_configuration()
        self.nginx = subprocess.Popen([*self.command(), "-g", "daemon off;"], stderr=subprocess.DEVNULL)
        self.wait_for_port()

    def tearDown(self):
        self.nginx.send_signal(signal.SIGTERM)
        self.nginx.wait(10)
        for replica in self.replicas:
            replica.stop()
        self.folder.cleanup()

    def command(self):
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        return [program, "-p", self.folder.name, "-c", f"{self.folder.name}/nginx.conf", "-e", f"{self.folder.name}/error.log"]

    def write_configuration(self, down=()):
        text = CONFIGURATION.read_text().replace("listen 8080", f"listen 127.0.0.1:{self.port}")
        for index, port in enumerate(self.ports):
            text = text.replace(f"127.0.0.1:{8081 + index} ", f"127.0.0.1:{port} {'down ' if index in down else ''}")
        text = text.replace("fail_timeout=10s", "fail_timeout=1s")
        paths = "".join(f"{name}_temp_path {name};" for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
        pathlib.Path(self.folder.name, "nginx.conf").write_text(
            f"pid nginx.pid; worker_processes 1; user {getpass.getuser()}; events {{}}\n"
            f"http {{ access_log off; {paths}\n{text}\n}}\n")

    def wait_for_port(self):
        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        self.fail("nginx does not listen")


class BalancerTests(Balancer):
    def start_replicas(self):
        self.replicas = [Replica(f"r{index}", port) for index, port in enumerate(self.ports)]

    def ask(self, path="/v1/chat/completions", body=b"{}", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST" if body else "GET", path, body or None, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response, json.loads(text) if text.startswith(b"{") else None

    def replica_of(self, conversation):
        response, answer = self.ask(X_Conversation_Id=conversation)
        self.assertEqual(response.status, 200)
        return answer["replica"]

    def homes(self, count=100):
        return {name: self.replica_of(name) for name in (f"conversation-{index}" for index in range(count))}

    def conversation_of(self, replica):
        return next(name for name in (f"c{index}" for index in range(100)) if self.replica_of(name) == replica)

    def stream(self, index, conversation):
        """A stream of a replica, after its first piece."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", "/stream", headers={"X-Conversation-Id": conversation})
        self.replicas[index].pieces.release()
        response = connection.getresponse()
        self.addCleanup(connection.close)
        self.addCleanup(response.close)
        self.assertEqual(self.piece(response), f"data: r{index} 0")
        return response

    def piece(self, response):
        line = response.readline()
        response.readline()
        return line.decode().strip()

    def test_conversations_stick_and_spread(self):
        homes = self.homes()
        self.assertEqual(homes, self.homes())
        share = list(homes.values()).count("r0") / len(homes)
        self.assertTrue(0.2 < share < 0.8, f"r0 has a share of {share}")

    def test_what_names_a_conversation(self):
        one, other = self.conversation_of("r0"), self.conversation_of("r1")
        for headers, wanted in [
            ({"X_Conversation_Id": one, "Cookie": f"gemma3n={other}", "Authorization": other}, "r0"),
            ({"Cookie": f"gemma3n={other}", "Authorization": one}, "r1"),
            ({"Authorization": one}, "r0"),
            ({"Authorization": other}, "r1"),
        ]:
            self.assertEqual(self.ask(**headers)[1]["replica"], wanted, headers)
        self.assertEqual(len({self.ask()[1]["replica"] for _ in range(10)}), 1, "an address sticks")

    def test_page_gets_a_name_once(self):
        response, _ = self.ask("/", body=None)
        self.assertRegex(response.headers["Set-Cookie"], r"^gemma3n=[0-9a-f]{32}; Path=/; HttpOnly; SameSite=Lax$")
        response, _ = self.ask("/", body=None, Cookie="gemma3n=abc")
        self.assertIsNone(response.headers["Set-Cookie"])

    def test_death_moves_only_its_own_conversations_and_loses_no_request(self):
        before = self.homes()
        self.replicas[0].stop()
        during = self.homes()
        self.assertEqual(set(during.values()), {"r1"})
        self.replicas[0] = Replica("r0", self.ports[0])
        deadline = time.monotonic() + 20
        while (after := self.homes()) != before and time.monotonic() < deadline:
            time.sleep(0.2)
        self.assertEqual(after, before, "the replica's conversations come back to it")

    def test_break_before_the_first_byte_is_asked_elsewhere_with_its_body(self):
        conversation = self.conversation_of("r0")
        self.replicas[0].mode = "breaks"
        body = b"x" * 3_000_000
        response, answer = self.ask(body=body, X_Conversation_Id=conversation)
        self.assertEqual((response.status, answer), (200, {"replica": "r1", "length": len(body)}))

    def test_stream_that_has_begun_is_never_begun_again(self):
        conversation = self.conversation_of("r0")
        count = self.replicas[1].count
        response = self.stream(0, conversation)
        self.replicas[0].mode = "breaks"
        self.replicas[0].pieces.release()
        try:
            self.assertEqual(response.read(), b"")
        except http.client.IncompleteRead:
            pass
        self.assertEqual(self.replicas[1].count, count)

    def test_tokens_are_not_held_back(self):
        response = self.stream(1, self.conversation_of("r1"))
        for index in range(1, 4):
            self.replicas[1].pieces.release()
            self.assertEqual(self.piece(response), f"data: r1 {index}")

    def test_replica_that_stops_gets_no_more_but_finishes(self):
        conversation = self.conversation_of("r0")
        response = self.stream(0, conversation)
        self.replicas[0].mode = "stopping"
        self.assertEqual(set(self.homes(40).values()), {"r1"})
        for index in range(1, 4):
            self.replicas[0].pieces.release()
            self.assertEqual(self.piece(response), f"data: r0 {index}")

    def test_drain_by_configuration(self):
        conversation = self.conversation_of("r0")
        response = self.stream(0, conversation)
        self.write_configuration(down=[0])
        subprocess.run([*self.command(), "-s", "reload"], check=True, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while self.replica_of(conversation) != "r1" and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(set(self.homes(40).values()), {"r1"})
        for index in range(1, 4):
            self.replicas[0].pieces.release()
            self.assertEqual(self.piece(response), f"data: r0 {index}")

    def test_limit_of_a_caller_is_told_not_evaded(self):
        conversation = self.conversation_of("r0")
        self.replicas[0].mode = "full"
        response, answer = self.ask(X_Conversation_Id=conversation)
        self.assertEqual((response.status, response.headers["Retry-After"], answer["replica"]), (429, "5", "r0"))

    def test_all_gone(self):
        for replica in self.replicas:
            replica.mode = "stopping"
        self.assertEqual(self.ask()[0].status, 503)
        self.assertEqual(self.ask("/metrics", body=None)[0].status, 404)


if __name__ == "__main__":
    unittest.main()
