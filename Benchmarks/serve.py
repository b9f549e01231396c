#!/usr/bin/env python3
"""Measures servers that speak OpenAI's protocol with many streaming clients at once, servers taking turns, and prints a table.

    python3 Benchmarks/serve.py http://127.0.0.1:8080 [http://127.0.0.1:8090 ...] [--clients 1,2,4,8,16] [--rounds 3] [--tokens 64]
        [--words 40] [--shared 0] [--ban 1,106] [--key KEY] [--json FILE]

All servers get the same requests: of every round, number of clients and client another prompt, so that no cache knows more of it than
`--shared` words that all begin with. Tokens are counted by the server (`usage`). Speeds depend on how long answers are: `--ban` names
the tokens that end an answer, which are then never chosen (1 and 106 with Gemma 3n's vocabulary); a random model says them at any time.

Columns: tokens of all clients in a second, from the first request to the last answer's end; that figure as a multiple of what one client
got; tokens in a second of one client after its first token; seconds to the first token, the median client's and the last one's.
"""
import argparse
import http.client
import json
import random
import statistics
import threading
import time
import urllib.parse

WORDS = ("red blue green yellow black white small large round square left right one two three four five six seven eight nine ten apple bird "
         "house river stone cloud paper window garden winter summer letter number music friend").split()


class Server:
    def __init__(self, url, key):
        parts = urllib.parse.urlsplit(url)
        self.url, self.place = url, (parts.hostname, parts.port or 80)
        self.headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        connection = http.client.HTTPConnection(*self.place, timeout=60)
        connection.request("GET", "/v1/models", headers=self.headers)
        self.model = json.loads(connection.getresponse().read())["data"][0]["id"]
        connection.close()

    def stream(self, body, start):
        """Times are seconds since `start`."""
        connection = http.client.HTTPConnection(*self.place, timeout=3600)
        connection.request("POST", "/v1/chat/completions", json.dumps(body | {"model": self.model}), self.headers)
        reply = connection.getresponse()
        if reply.status != 200:
            raise RuntimeError(f"{self.url} answered {reply.status}: {reply.read(500).decode()}")
        first, last = None, b""
        for line in reply:
            if not line.startswith(b"data: {"):
                continue
            # The first delta with text; many servers send the role alone before.
            if first is None and b'"content":' in line and b'"content":""' not in line and b'"content":null' not in line:
                first = time.perf_counter() - start
            last = line
        end = time.perf_counter() - start
        connection.close()
        usage = json.loads(last[6:]).get("usage")
        if not usage:
            raise RuntimeError(f"{self.url} ended with {last[:300].decode()}, expected usage")
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        return {"first": end if first is None else first, "end": end, "tokens": usage["completion_tokens"],
                "prompt": usage["prompt_tokens"], "cached": cached}


def prompt(options, *names):
    """The same for the same names; the first word differs from others' but for the shared ones."""
    own = random.Random(str(names))
    shared = random.Random("shared").choices(WORDS, k=options.shared)
    return " ".join(shared + [str(own.randrange(10**6))] + own.choices(WORDS, k=options.words))


def measure(server, clients, round, options):
    """One sample: all clients at once."""
    answers, failures = [None] * clients, []
    barrier = threading.Barrier(clients + 1)
    moment = {}

    def ask(index):
        body = {"messages": [{"role": "user", "content": prompt(options, round, clients, index)}], "max_tokens": options.tokens,
                "temperature": 0, "stream": True, "stream_options": {"include_usage": True}}
        if options.ban:
            body["logit_bias"] = {token: -100 for token in options.ban.split(",")}
        barrier.wait()
        try:
            answers[index] = server.stream(body, moment["start"])
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(clients)]
    for thread in threads:
        thread.start()
    moment["start"] = time.perf_counter()
    barrier.wait()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    tokens = sum(answer["tokens"] for answer in answers)
    own = [(answer["tokens"] - 1) / (answer["end"] - answer["first"]) for answer in answers if answer["tokens"] > 1 and answer["end"] > answer["first"]]
    return {"server": server.url, "clients": clients, "round": round, "tokens": tokens, "prompt": sum(answer["prompt"] for answer in answers),
            "cached": sum(answer["cached"] for answer in answers), "total": tokens / max(answer["end"] for answer in answers),
            "own": statistics.median(own) if own else 0.0, "first": statistics.median(answer["first"] for answer in answers),
            "last_first": max(answer["first"] for answer in answers)}


def table(samples, servers, counts):
    def median(url, clients, key):
        return statistics.median(sample[key] for sample in samples if sample["server"] == url and sample["clients"] == clients)

    lines = ["| server | clients | tokens/s | times one client | of the first server | own tokens/s | first token, s | last client's, s | tokens | cached |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for clients in counts:
        for server in servers:
            total = median(server.url, clients, "total")
            of_one = f"{total / median(server.url, counts[0], 'total'):.2f}" if counts[0] == 1 else "–"
            lines.append(
                f"| {server.url} | {clients} | {total:.1f} | {of_one} | {total / median(servers[0].url, clients, 'total'):.2f} "
                f"| {median(server.url, clients, 'own'):.1f} | {median(server.url, clients, 'first'):.2f} "
                f"| {median(server.url, clients, 'last_first'):.2f} | {median(server.url, clients, 'tokens'):.0f} "
                f"| {median(server.url, clients, 'cached'):.0f} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("urls", nargs="+", metavar="URL")
    parser.add_argument("--clients", default="1,2,4,8,16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--words", type=int, default=40, help="words of a prompt that are its own")
    parser.add_argument("--shared", type=int, default=0, help="words that all prompts begin with")
    parser.add_argument("--ban", default="", help="tokens that are never chosen, such as 1,106")
    parser.add_argument("--key", default="")
    parser.add_argument("--json", help="where every sample is written")
    options = parser.parse_args()
    servers = [Server(url.rstrip("/"), options.key) for url in options.urls]
    counts = sorted({int(count) for count in options.clients.split(",")})
    samples = []
    for server in servers:
        # Untimed: pages in what the first request would wait for.
        measure(server, 1, "before", options)
    for round in range(options.rounds):
        for clients in counts:
            for server in servers if round % 2 == 0 else servers[::-1]:
                sample = measure(server, clients, round, options)
                samples.append(sample)
                print(f"round {round + 1}: {server.url}, {clients} clients: {sample['total']:.1f} tokens/s", flush=True)
    print(table(samples, servers, counts))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"options": vars(options), "samples": samples}, file, indent=1)


if __name__ == "__main__":
    main()
