"""Many clients at once: nobody fails, and everybody gets what they would have got alone."""

import asyncio
import collections
import contextlib
import json
import random
import socket
import time
import urllib.parse

import httpx
import openai
import pytest

from conftest import Server
from mixed_work import ask, endless, mixed_work, slow

PLACES = 16


@contextlib.contextmanager
def serving(*arguments):
    server = Server(*arguments)
    try:
        yield server
    finally:
        assert server.stop() == 0


def client_of(server):
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx.AsyncClient(base_url=server.url, timeout=300, limits=limits, verify=False)


async def figures(client):
    lines = (await client.get("/metrics")).text.splitlines()
    return {name.removeprefix("gemma3n_"): float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


async def until(client, condition):
    """Conditions are such that a machine that is busy with other things cannot miss them: once true, they stay true."""
    end = time.monotonic() + 120
    while not condition(now := await figures(client)):
        assert time.monotonic() < end, f"it did not come about: {now}"
        await asyncio.sleep(0.02)
    return now


def is_quiet(now):
    return now["requests_running"] == now["requests_queued"] == 0


@contextlib.asynccontextmanager
async def all_places_taken(client, places):
    """A client that has all places while the body runs, and then leaves in the middle of its answers."""
    work = slow(places)
    async with client.stream("POST", work.path, json=work.body) as reply:
        lines = reply.aiter_lines()
        await anext(lines)
        yield


@pytest.fixture(scope="module")
def alone():
    """What one client at a time gets from a server that was just started."""
    async def ask_one_by_one(server):
        async with client_of(server) as client:
            return {work.key: await ask(client, work) for work in mixed_work()}

    with serving("--parallel", "1") as server:
        return asyncio.run(ask_one_by_one(server))


def differing(alone, answers):
    return [work.body for work, answer in zip(mixed_work(), answers) if answer != alone[work.key]]


def test_work_is_worth_it(alone):
    assert len({str(answer) for answer in alone.values()}) > 50
    assert {"quiet", "a purple circle and a green triangle", "red blue left one"} & {text for answer in alone.values() for text in answer.values()}


def test_64_clients(alone):
    async def run(server):
        async with client_of(server) as client:
            async with all_places_taken(client, PLACES):
                asking = [asyncio.create_task(ask(client, work)) for work in mixed_work()]
                # They all wait, so that they are computed together.
                await until(client, lambda now: now["requests_accepted_total"] == PLACES + 72)
            answers = await asyncio.gather(*asking)
            return answers, await until(client, is_quiet)

    with serving("--parallel", str(PLACES), "--queue", "72") as server:
        answers, now = asyncio.run(run(server))
    assert differing(alone, answers) == []
    assert (now["requests_finished_total"], now["requests_failed_total"], now["requests_refused_total"]) == (72, 0, 0)


def test_64_clients_among_others_that_leave(alone):
    chance = random.Random(3)

    async def leave_at_some_moment(client, work):
        if chance.random() < 0.5:
            await ask(client, work, leave_after=chance.choice([0, 1, 2, 5, 20]))
        else:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ask(client, work), chance.uniform(0, 1))

    async def run(server):
        async with client_of(server) as client:
            # The same questions, at times the same prompts: caches are shared and taken over, too.
            leaving = [work for work in mixed_work() if chance.random() < 0.5] + [endless(temperature=1.0, seed=seed) for seed in range(8)]
            async with all_places_taken(client, PLACES):
                tasks = [asyncio.create_task(leave_at_some_moment(client, work)) for work in leaving]
                asking = [asyncio.create_task(ask(client, work)) for work in mixed_work()]
                await until(client, lambda now: now["requests_accepted_total"] >= PLACES + 72)
            answers = await asyncio.gather(*asking)
            await asyncio.gather(*tasks)
            return answers, await until(client, is_quiet)

    with serving("--parallel", str(PLACES), "--queue", "200") as server:
        answers, now = asyncio.run(run(server))
    assert differing(alone, answers) == []
    assert now["requests_failed_total"] == 0 and now["requests_cancelled_total"] >= PLACES


def test_64_clients_and_a_short_queue(alone):
    refusals = []

    async def come_again(reply):
        refusals.append(int(reply.headers["retry-after"]))
        assert 1 <= refusals[-1] <= 60
        await asyncio.sleep(refusals[-1])

    async def run(server):
        async with client_of(server) as client:
            async with all_places_taken(client, 2):
                asking = [asyncio.create_task(ask(client, work, on_refusal=come_again)) for work in mixed_work()]
                # OpenAI's own client comes again by itself.
                official = openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=20)
                question = official.chat.completions.create(
                    model="gemma3n-demo", messages=[{"role": "user", "content": "Tell me the opposite of loud."}], temperature=0)
                asking.append(asyncio.create_task(question))
                await until(client, lambda now: now["requests_refused_total"] > 0)
            *answers, answer = await asyncio.gather(*asking)
            assert answer.choices[0].message.content == "quiet"
            return answers, await until(client, is_quiet)

    with serving("--parallel", "2", "--queue", "4") as server:
        answers, now = asyncio.run(run(server))
    assert differing(alone, answers) == []
    assert refusals and now["requests_failed_total"] == 0


def wide_passes(now):
    return now["batch_size_count"] - now['batch_size_bucket{le="2.0"}']


@pytest.mark.parametrize("streams", [True, False])
def test_who_leaves_is_computed_no_further(streams):
    """While another answer goes on. Of 2,000 tokens to come few are still made: 1 to 23 were seen."""
    async def run(server):
        async with client_of(server) as client:
            async with all_places_taken(client, 1):
                leaving = slow(PLACES)
                asking = asyncio.create_task(client.post(leaving.path, json=leaving.body | {"stream": streams}))
                before = await until(client, lambda now: wide_passes(now) > 10)
                asking.cancel()
                after = await until(client, lambda now: now["requests_running"] <= 1)
                assert after["requests_cancelled_total"] == PLACES
                return wide_passes(after) - wide_passes(before)

    with serving("--parallel", str(PLACES + 1)) as server:
        assert asyncio.run(run(server)) < 500


def deaf_client(server):
    """Asks for megabytes, more than its connection holds, and reads nothing."""
    work = slow(2)
    parts, body = urllib.parse.urlsplit(server.url), json.dumps(work.body).encode()
    connection = socket.create_connection((parts.hostname, parts.port))
    connection.sendall(f"POST {work.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def test_who_reads_nothing_keeps_nobody_waiting(alone):
    """The engine is done with an answer long before its client has taken it."""
    async def run(server):
        async with client_of(server) as client:
            deaf = [deaf_client(server) for _ in range(2)]
            await until(client, lambda now: now["requests_accepted_total"] == 4)
            answers = await asyncio.gather(*(ask(client, work) for work in mixed_work()))
            now = await until(client, is_quiet)
            assert now["requests_finished_total"] == 72 + 4
            for connection in deaf:
                connection.close()
            await until(client, lambda now: now["http_requests_under_way"] == 1)
            return answers

    with serving("--parallel", str(PLACES), "--queue", "80") as server:
        assert differing(alone, asyncio.run(run(server))) == []


def refuses_connections(server):
    parts = urllib.parse.urlsplit(server.url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname, parts.port)) != 0


async def stop_and_wait(server):
    server.process.terminate()
    while not refuses_connections(server):
        await asyncio.sleep(0.01)


def test_64_clients_finish_when_the_server_is_stopped(alone):
    async def run(server):
        async with client_of(server) as client:
            async with all_places_taken(client, PLACES):
                asking = [asyncio.create_task(ask(client, work)) for work in mixed_work()]
                await until(client, lambda now: now["requests_accepted_total"] == PLACES + 72)
                await stop_and_wait(server)
            return await asyncio.gather(*asking)

    server = Server("--parallel", str(PLACES), "--queue", "72", "--drain", "300")
    assert differing(alone, asyncio.run(run(server))) == []
    assert server.process.wait(60) == 0


@pytest.mark.parametrize("drain", ["0", "300"])
def test_who_does_not_finish_is_told(drain):
    """When the time for answers under way is over, or the second signal comes."""
    ends = collections.Counter()

    async def ask_to_the_end(client, path, body):
        async with client.stream("POST", path, json=body) as reply:
            lines = [line async for line in reply.aiter_lines() if line]
        if reply.status_code == 503:
            assert reply.headers["retry-after"] and "stopping" in lines[0], lines
            ends["refused"] += 1
        elif "error" in lines[-1]:
            assert reply.status_code == 200 and "stopping" in lines[-1], lines[-1]
            ends["told"] += 1
        else:
            assert lines[-1] == "data: [DONE]" or '"done":true' in lines[-1] or "message_stop" in lines[-1], lines[-1]
            ends["finished"] += 1

    async def run(server):
        async with client_of(server) as client:
            works = [endless(seed=seed) for seed in range(40)] + [work for work in mixed_work() if work.path in ("/api/chat", "/v1/messages")]
            asking = [asyncio.create_task(ask_to_the_end(client, work.path, work.body)) for work in works]
            # Not streaming: nothing is sent before all is there.
            asking.append(asyncio.create_task(ask_to_the_end(client, works[0].path, works[0].body | {"stream": False, "n": 16})))
            await until(client, lambda now: now["requests_accepted_total"] >= PLACES + 8)
            await stop_and_wait(server)
            if drain != "0":
                server.process.terminate()
            await asyncio.gather(*asking)

    server = Server("--parallel", str(PLACES), "--drain", drain)
    asyncio.run(run(server))
    assert server.process.wait(60) == 0
    assert ends["told"] and ends["refused"], ends
