#!/usr/bin/env python3
"""Measures this engine beside others on the same machine in one run, engines taking turns, and writes a table.

    python3 Benchmarks/compare.py --gguf E2B.gguf [--packed DIR] [--large E4B.gguf] [--large-packed DIR] [--checkpoint DIR]
        [--only decode,prefill,...] [--results compare.json] [--report compare.md]

Parts: decode, prefill, threads1, busy, memory, large (another GGUF file, such as E4B), encoders (image and audio against
transformers; needs --checkpoint), transformers (its text model; needs --checkpoint), mistral (needs --mistral DIR). Every sample
is kept in the results file, so parts may be measured in several runs; the report shows the medians of all samples and their ratios.
Delete the file to begin anew.
Engines that are not installed are skipped with a sentence. A whole run takes about ten minutes for E2B.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PARTS = ["decode", "prefill", "threads1", "busy", "memory", "large", "encoders", "transformers", "mistral"]
CONTEXT = 4096


# The other engines, each run in a process of its own that prints one line of JSON.

def status(key):
    """Bytes, from Linux's account of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    return None


def child_llama(task):
    """llama.cpp through the C interface that llama-cpp-python exposes: no Python between tokens but the call itself."""
    import llama_cpp as llama

    @llama.llama_log_callback
    def log(level, text, _):
        if level >= 4:
            sys.stderr.write(text.decode(errors="replace"))

    llama.llama_log_set(log, None)
    llama.llama_backend_init()
    start = time.perf_counter()
    model = llama.llama_model_load_from_file(task["model"].encode(), llama.llama_model_default_params())
    if not model:
        sys.exit("error: llama.cpp cannot open " + task["model"])
    settings = llama.llama_context_default_params()
    settings.n_ctx, settings.n_batch, settings.n_ubatch = CONTEXT, 2048, 512
    settings.n_threads = settings.n_threads_batch = task["threads"]
    context = llama.llama_init_from_model(model, settings)
    result = {"open_seconds": time.perf_counter() - start}

    def feed(tokens):
        ids = (llama.llama_token * len(tokens))(*tokens)  # the batch points to it
        if llama.llama_decode(context, llama.llama_batch_get_one(ids, len(tokens))) != 0:
            sys.exit("error: llama.cpp cannot decode")
        llama.llama_synchronize(context)

    def seconds(body):
        start = time.perf_counter()
        body()
        return time.perf_counter() - start

    def token(index):
        return (1000 + index * 37) % 200000

    memory = llama.llama_get_memory(context)
    feed([2] + [token(i) for i in range(1, 16)])
    result["first_token_seconds"] = time.perf_counter() - start
    for count in task["prompts"]:
        llama.llama_memory_clear(memory, True)
        result[f"prefill {count}"] = count / seconds(lambda: feed([2] + [token(i) for i in range(1, count)]))
    if task["tokens"]:
        llama.llama_memory_clear(memory, True)
        times = [seconds(lambda: feed([token(i * 211) if i else 2])) for i in range(task["tokens"])]
        result["decode"] = 1 / statistics.median(times)
    result["peak_bytes"] = status("VmHWM")
    return result


def child_mistral(task):
    """mistral.rs through its Python package; quantises the checkpoint while it loads."""
    import mistralrs
    start = time.perf_counter()
    quantized = task.get("quantized")
    which = mistralrs.Which.MultimodalPlain(
        model_id=task["model"], arch=mistralrs.MultimodalArchitecture.Gemma3n, from_uqff=quantized)
    runner = mistralrs.Runner(which=which, in_situ_quant=None if quantized else "Q4K", token_source="none", prefix_cache_n=0)
    result = {"open_seconds": time.perf_counter() - start}

    def ask(words, count):
        return runner.send_completion_request(mistralrs.CompletionRequest(
            model="default", prompt=" ".join(["the"] * words), max_tokens=count, temperature=0.0)).usage

    ask(4, 2)
    result["first_token_seconds"] = time.perf_counter() - start
    for count in task["prompts"]:
        usage = ask(count, 2)
        result[f"prefill {count}"] = usage.avg_prompt_tok_per_sec
    if task["tokens"]:
        result["decode"] = statistics.median(ask(4, task["tokens"]).avg_compl_tok_per_sec for _ in range(3))
    result["peak_bytes"] = status("VmHWM")
    return result


class Bench:
    def __init__(self, arguments):
        self.a = arguments
        self.results = {"samples": []}
        if arguments.results.exists():
            self.results = json.loads(arguments.results.read_text())
        self.skipped = {}

    # Keeping samples.

    def keep(self, part, engine, sample):
        sample = {"part": part, "engine": engine, "time": time.strftime("%Y-%m-%d %H:%M:%S"), **sample}
        self.results["samples"].append(sample)
        self.results["machine"] = machine()
        partial = self.a.results.with_name(self.a.results.name + ".partial")
        partial.write_text(json.dumps(self.results, indent=1))
        os.replace(partial, self.a.results)
        shown = ", ".join(f"{k} {v:.4g}" for k, v in sample.items() if isinstance(v, float))
        print(f"{part}: {engine}: {shown}", file=sys.stderr, flush=True)

    def skip(self, engine, sentence):
        if engine not in self.skipped:
            self.skipped[engine] = sentence
            print(f"{engine} is skipped: {sentence}", file=sys.stderr, flush=True)

    # Running engines.

    def process(self, command, **more):
        environment = dict(os.environ, **more)
        return subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    def failed(self, engine, outcome):
        """Skips an engine that ended badly, with the last thing it said; gives whether it did."""
        if outcome.returncode != 0:
            self.skip(engine, (outcome.stderr.strip().splitlines() or [f"it ended with {outcome.returncode}."])[-1])
        return outcome.returncode != 0

    def child(self, kind, python, engine, task):
        outcome = self.process([python, __file__, "--child", kind, json.dumps(task)])
        if self.failed(engine, outcome):
            return None
        return json.loads(outcome.stdout.strip().splitlines()[-1])

    def ours(self, model, prompts=(), tokens=0, threads=2, extra=(), repetitions=1, engine="gemma3n"):
        command = [self.a.gemma3n, "bench", model, "-p", ",".join(map(str, prompts)) or "0", "-n", tokens, "-t", threads,
                   "-r", repetitions, "--json", "--context", CONTEXT, *extra]
        outcome = self.process(command)
        if self.failed(engine, outcome):
            return None
        report = json.loads(outcome.stdout)
        sample = {"open_seconds": report["open_seconds"], "first_token_seconds": report["first_token"]["seconds_from_open"],
                  "start_to_first_token_seconds": report["first_token"]["seconds_from_start"],
                  "peak_bytes": float(report["peak_text_bytes"]), "bytes_per_token": report["bytes_per_token"]}
        for run in report["runs"]:
            name = run["part"] + (f" {run['tokens']}" if run["part"] == "prefill" else "")
            sample[name] = run.get("tokens_per_second", run["median_seconds"])
            if run["share_of_limit"] is not None:
                sample[name + " share"] = run["share_of_limit"]
            limits = run["limits"]
            sample["GB/s"] = limits["read_bytes_per_second"] / 1e9
            sample["GFLOP/s"] = limits["float_operations_per_second"] / 1e9
            if limits["int8_operations_per_second"]:
                sample["int8 GOP/s"] = limits["int8_operations_per_second"] / 1e9
        return sample

    def llama(self, model, prompts=(), tokens=0, threads=2):
        if not self.a.llama_bench:
            return self.child("llama", self.a.peers_python, "llama.cpp",
                              {"model": str(model), "prompts": list(prompts), "tokens": tokens, "threads": threads})
        sample = {}
        command = [self.a.llama_bench, "-m", model, "-t", threads, "-r", 1, "-o", "json", "-n", tokens, "-p", ",".join(map(str, prompts)) or "0"]
        outcome = self.process(command)
        if self.failed("llama.cpp", outcome):
            return None
        for test in json.loads(outcome.stdout):
            sample["decode" if test["n_gen"] else f"prefill {test['n_prompt']}"] = test["avg_ts"]
        return sample

    def turn(self, part, rounds, ours_models, llama_model, **task):
        """Engines take turns, so that all see the same minutes."""
        for number in range(rounds):
            engines = [(name, lambda m=model: self.ours(m, **task)) for name, model in ours_models]
            engines.append(("llama.cpp", lambda: self.llama(llama_model, **task)))
            for name, run in engines if number % 2 == 0 else reversed(engines):
                if name in self.skipped:
                    continue
                sample = run()
                if sample:
                    self.keep(part, name, sample)

    @staticmethod
    def warm(*paths):
        """Reads files once, so that no engine waits for the disk."""
        for path in paths:
            for file in ([] if not path else sorted(path.iterdir()) if path.is_dir() else [path]):
                if file.is_file():
                    with open(file, "rb", buffering=0) as opened:
                        while opened.read(1 << 24):
                            pass

    # Parts.

    def models(self, packed, gguf):
        """Ours from the packed directory, or from the GGUF file where there is none."""
        return [("gemma3n", packed or gguf)]

    def decode(self):
        self.turn("decode", self.a.rounds, self.models(self.a.packed, self.a.gguf), self.a.gguf, tokens=64)
        if self.a.packed:
            sample = self.ours(self.a.gguf, tokens=64, engine="gemma3n, GGUF")
            if sample:
                self.keep("decode", "gemma3n, GGUF", sample)

    def prefill(self):
        rounds = max(1, self.a.rounds - 1)
        self.turn("prefill", rounds, self.models(self.a.packed, self.a.gguf), self.a.gguf, prompts=(128, 512))
        self.turn("prefill", max(1, rounds - 1), self.models(self.a.packed, self.a.gguf), self.a.gguf, prompts=(2048,))

    def threads1(self):
        rounds = max(1, self.a.rounds - 1)
        self.turn("threads1", rounds, self.models(self.a.packed, self.a.gguf), self.a.gguf, tokens=48, prompts=(128,), threads=1)

    def busy(self):
        neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            self.turn("busy", 2, self.models(self.a.packed, self.a.gguf), self.a.gguf, tokens=24, prompts=(128,))
        finally:
            neighbour.kill()
            neighbour.wait()

    def memory(self):
        """Within a budget: peak and speed, beside the same without one."""
        for number in range(max(1, self.a.rounds - 1)):
            for model, budget, name in ((self.a.packed or self.a.gguf, self.a.memory, "E2B"),
                                        (self.a.large_packed or self.a.large, self.a.large_memory, "E4B")):
                if not model:
                    continue
                for extra in ([], ["--memory", budget]):
                    sample = self.ours(model, prompts=(512,), tokens=48, extra=extra, engine="bounded" if extra else "unbounded")
                    if sample:
                        self.keep("memory " + name, "bounded" if extra else "unbounded", sample)

    def large(self):
        if not self.a.large:
            return self.skip("large", "no --large file was given.")
        rounds = max(1, self.a.rounds - 1)
        models = self.models(self.a.large_packed, self.a.large)
        self.turn("large", rounds, models, self.a.large, tokens=48)
        self.turn("large", 1, models, self.a.large, prompts=(512,))

    def encoders(self):
        if not self.a.checkpoint:
            return self.skip("encoders", "no --checkpoint was given.")
        for model, name in ((self.a.checkpoint, "gemma3n"), (self.a.encoders, "gemma3n, 8 bits")):
            if not model:
                continue
            sample = self.ours(model, extra=("--image", "--audio"), repetitions=3, engine=name)
            if sample:
                self.keep("encoders", name, {k: v for k, v in sample.items() if k.startswith(("image", "audio", "G", "int8"))})
        self.transformers("image,audio", "encoders")
        sample = self.ours(self.a.checkpoint, extra=("--image", "--audio"), repetitions=3)
        if sample:
            self.keep("encoders", "gemma3n", {k: v for k, v in sample.items() if k.startswith(("image", "audio", "G", "int8"))})

    def transformers(self, parts="text", part="transformers"):
        if not self.a.checkpoint:
            return self.skip("transformers", "no --checkpoint was given.")
        outcome = self.process([self.a.transformers_python, HERE / "measure_transformers.py", self.a.checkpoint, "--parts", parts, "--json"],
                               OMP_NUM_THREADS="2")
        if self.failed("transformers", outcome):
            return
        for engine, sample in json.loads(outcome.stdout.strip().splitlines()[-1]).items():
            self.keep(part, engine, sample)
        if part == "transformers":
            sample = self.ours(self.a.checkpoint, prompts=(256,), tokens=24)
            if sample:
                self.keep(part, "gemma3n, same checkpoint", sample)

    def mistral(self):
        if not self.a.mistral:
            return self.skip("mistral.rs", "no --mistral directory was given (it quantises while it loads, which takes 24 GB and minutes for E2B).")
        for _ in range(max(1, self.a.rounds - 1)):
            if "mistral.rs" in self.skipped:
                return
            sample = self.child("mistral", self.a.peers_python, "mistral.rs", {
                "model": str(self.a.mistral), "quantized": self.a.mistral_quantized and str(self.a.mistral_quantized),
                "prompts": [128, 512], "tokens": 32})
            if sample:
                self.keep("mistral", "mistral.rs", sample)
            if self.a.mistral_packed:
                sample = self.ours(self.a.mistral_packed, prompts=(128, 512), tokens=32)
                if sample:
                    self.keep("mistral", "gemma3n, same weights", sample)

    def pack(self):
        """Makes the packed models that are not there yet."""
        for gguf, packed in ((self.a.gguf, self.a.packed), (self.a.large, self.a.large_packed)):
            if gguf and packed and not packed.exists():
                print(f"packing {gguf}", file=sys.stderr, flush=True)
                outcome = self.process([self.a.gemma3n, "convert", gguf, packed])
                if outcome.returncode != 0:
                    sys.exit((outcome.stderr.strip().splitlines() or ["error: cannot pack " + str(gguf)])[-1])

    def run(self, parts):
        self.pack()
        for part in parts:
            start = time.time()
            if part in ("large", "memory"):
                self.warm(self.a.large, self.a.large_packed)
            elif part in ("encoders", "transformers"):
                self.warm(self.a.checkpoint)
            if part not in ("large", "encoders", "transformers", "mistral"):
                self.warm(self.a.gguf, self.a.packed)
            getattr(self, part)()
            print(f"{part}: {time.time() - start:.0f} s", file=sys.stderr, flush=True)


# The report.

def machine():
    name = ""
    try:
        name = next(line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name or platform.processor()}, {os.cpu_count()} processors"


class Report:
    def __init__(self, results):
        self.results = results

    def median(self, part, engine, figure):
        values = [s[figure] for s in self.results["samples"] if s["part"] == part and s["engine"] == engine and figure in s and s[figure] is not None]
        return statistics.median(values) if values else None

    def count(self, part, engine, figure):
        return sum(1 for s in self.results["samples"] if s["part"] == part and s["engine"] == engine and s.get(figure) is not None)

    def ratio(self, part, figure, engine="gemma3n", other="llama.cpp", inverse=False):
        ours, theirs = self.median(part, engine, figure), self.median(part, other, figure)
        if not ours or not theirs:
            return None
        return theirs / ours if inverse else ours / theirs

    def text(self):
        days = sorted({sample["time"][:10] for sample in self.results["samples"]}) or ["never"]
        limits = []
        for figure in ("GB/s", "GFLOP/s", "int8 GOP/s"):
            values = [s[figure] for s in self.results["samples"] if figure in s and s["part"] not in ("threads1", "busy")]
            if values:
                limits.append(f"{statistics.median(values):.0f} {figure}")
        lines = [f"Measured {' and '.join(dict.fromkeys([days[0], days[-1]]))} on {self.results.get('machine', '')}, 2 threads unless said; medians, engines in",
                 f"turn. Limits around ours: {', '.join(limits) or 'not measured'}.", ""]
        lines += self.table()
        lines += ["", *self.targets()]
        return "\n".join(lines) + "\n"

    def table(self):
        def number(value, digits=1):
            return "–" if value is None else f"{value:.{digits}f}"

        rows = ["| | ours | llama.cpp | ratio | samples |", "|---|---|---|---|---|"]

        def row(title, part, figure, digits=1, scale=1.0, inverse=False):
            ours, theirs = self.median(part, "gemma3n", figure), self.median(part, "llama.cpp", figure)
            if ours is None and theirs is None:
                return
            ratio = self.ratio(part, figure, inverse=inverse)
            rows.append(f"| {title} | {number(ours and ours * scale, digits)} | {number(theirs and theirs * scale, digits)} | "
                        f"{number(ratio, 2)} | {self.count(part, 'gemma3n', figure)} / {self.count(part, 'llama.cpp', figure)} |")

        row("decode, tokens/s, 2 threads", "decode", "decode")
        row("decode, 1 thread", "threads1", "decode")
        row("decode, one busy neighbour", "busy", "decode")
        for count in (128, 512, 2048):
            row(f"prefill {count}, tokens/s, 2 threads", "prefill", f"prefill {count}")
        row("prefill 128, 1 thread", "threads1", "prefill 128")
        row("prefill 128, one busy neighbour", "busy", "prefill 128")
        row("open, s", "decode", "open_seconds", 2, inverse=True)
        row("first token after opening began, s", "decode", "first_token_seconds", 2, inverse=True)
        row("peak memory, GB, 4,096 context", "decode", "peak_bytes", 2, 1e-9, inverse=True)
        row("E4B: decode, tokens/s", "large", "decode")
        row("E4B: prefill 512", "large", "prefill 512")
        row("E4B: open, s", "large", "open_seconds", 2, inverse=True)
        row("E4B: peak memory, GB", "large", "peak_bytes", 2, 1e-9, inverse=True)
        others = sorted({(s["part"], s["engine"]) for s in self.results["samples"] if s["part"] in ("encoders", "transformers", "mistral")})
        if others:
            rows += ["", "| | image, s | audio 30 s, s | decode, tokens/s | prefill 256 | prefill 512 |", "|---|---|---|---|---|---|"]
            for part, engine in others:
                figures = [self.median(part, engine, f) for f in ("image", "audio", "decode", "prefill 256", "prefill 512")]
                rows.append(f"| {engine} | " + " | ".join(number(f, 2) for f in figures) + " |")
        return rows

    def targets(self):
        rows = ["| target | wanted | measured | |", "|---|---|---|---|"]

        def target(title, wanted, value, reached, digits=2, unit=""):
            shown = "not measured" if value is None else f"{value:.{digits}f}{unit}"
            rows.append(f"| {title} | {wanted} | {shown} | {'' if value is None else 'reached' if reached(value) else 'open'} |")

        def percent(part, figure, engine="gemma3n"):
            share = self.median(part, engine, figure)
            return None if share is None else 100 * share

        at_least = lambda x: lambda v: v >= x  # noqa: E731
        at_most = lambda x: lambda v: v <= x  # noqa: E731
        target("decode E2B, times llama.cpp", "≥ 1.6", self.ratio("decode", "decode"), at_least(1.6))
        target("decode E2B, share of memory limit", "≥ 85 %", percent("decode", "decode share"), at_least(85), 0, " %")
        target("decode E4B, times llama.cpp", "≥ 1.6", self.ratio("large", "decode"), at_least(1.6))
        target("decode E4B, share of memory limit", "≥ 85 %", percent("large", "decode share"), at_least(85), 0, " %")
        target("prefill 512, times llama.cpp", "≥ 4", self.ratio("prefill", "prefill 512"), at_least(4))
        target("prefill 2048, times llama.cpp", "≥ 4", self.ratio("prefill", "prefill 2048"), at_least(4))
        target("prefill 512, share of arithmetic", "≥ 40 %", percent("prefill", "prefill 512 share"), at_least(40), 0, " %")
        target("prefill 2048, share of arithmetic", "≥ 40 %", percent("prefill", "prefill 2048 share"), at_least(40), 0, " %")
        for name, wanted in (("E2B", 1.9), ("E4B", 3.2)):
            part = "memory " + name
            peak = self.median(part, "bounded", "peak_bytes")
            target(f"peak memory {name}, bounded", f"≤ {wanted} GB", peak and peak / 1e9, at_most(wanted), 2, " GB")
            target(f"decode {name} bounded, of unbounded", "≥ 0.95", self.ratio(part, "decode", "bounded", "unbounded"), at_least(0.95))
        target("open, warm cache", "≤ 0.3 s", self.median("decode", "gemma3n", "open_seconds"), at_most(0.3), 2, " s")
        target("process start to first token, 16 tokens", "≤ 1.5 s", self.median("decode", "gemma3n", "start_to_first_token_seconds"), at_most(1.5), 2, " s")
        busy, quiet = self.median("busy", "gemma3n", "decode"), self.median("decode", "gemma3n", "decode")
        target("decode with a busy neighbour, of quiet", "≥ 0.45", busy / quiet if busy and quiet else None, at_least(0.45))
        target("decode, 1 thread, share of memory limit", "≥ 85 %", percent("threads1", "decode share"), at_least(85), 0, " %")
        for figure in ("image", "audio"):
            for kind in ("bfloat16", "float32"):
                target(f"{figure}, of transformers in {kind}", "≤ 0.33", self.ratio("encoders", figure, "gemma3n", f"transformers {kind}"), at_most(1 / 3))
                if self.count("encoders", "gemma3n, 8 bits", figure):
                    target(f"{figure} in 8 bits, of transformers in {kind}", "≤ 0.33",
                           self.ratio("encoders", figure, "gemma3n, 8 bits", f"transformers {kind}"), at_most(1 / 3))
        return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gguf", type=Path, help="the file that llama.cpp opens, and ours too without --packed")
    parser.add_argument("--packed", type=Path, help="the same model in our packed layout; made if it is not there")
    parser.add_argument("--large", type=Path, help="a second GGUF file for the part `large`")
    parser.add_argument("--large-packed", type=Path)
    parser.add_argument("--checkpoint", type=Path, help="a Hugging Face checkpoint with encoders")
    parser.add_argument("--encoders", type=Path, help="the same with encoders in 8 bits, ours only")
    parser.add_argument("--mistral", type=Path, help="a checkpoint for mistral.rs")
    parser.add_argument("--mistral-packed", type=Path, help="our packed model of the same checkpoint, measured in turn")
    parser.add_argument("--mistral-quantized", type=Path, help="mistral.rs's own quantised file of it (UQFF), instead of quantising")
    parser.add_argument("--gemma3n", type=Path, default=HERE.parent / ".build/release/gemma3n")
    parser.add_argument("--peers-python", default=sys.executable, help="a Python that has llama_cpp and mistralrs")
    parser.add_argument("--transformers-python", default=sys.executable, help="a Python that has Oracle/requirements.txt")
    parser.add_argument("--llama-bench", type=Path, help="a llama-bench program, instead of llama_cpp")
    parser.add_argument("--memory", default="1.9GB", help="budget of the part `memory`")
    parser.add_argument("--large-memory", default="3.2GB", help="the same for the large model")
    parser.add_argument("--only", default=",".join(PARTS), help="parts to measure now")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path("compare.json"))
    parser.add_argument("--report", type=Path, help="where the tables go besides standard output: a file of their own, or one that "
                        "holds the lines <!-- compare begin --> and <!-- compare end -->, between which they go")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        kind, task = arguments.child
        print(json.dumps({"llama": child_llama, "mistral": child_mistral}[kind](json.loads(task))), flush=True)
        # Engines may not like being torn down by an interpreter.
        os._exit(0)
    parts = [part for part in arguments.only.split(",") if part]
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"--only names {', '.join(unknown)}, expected some of {', '.join(PARTS)}")
    needs_gguf = set(parts) & {"decode", "prefill", "threads1", "busy", "memory"}
    if needs_gguf and not arguments.gguf:
        parser.error(f"the parts {', '.join(sorted(needs_gguf))} need --gguf FILE")
    bench = Bench(arguments)
    try:
        bench.run(parts)
    except KeyboardInterrupt:
        print("stopped; what was measured is kept", file=sys.stderr)
    text = Report(bench.results).text()
    print(text, end="")
    if arguments.report:
        begin, end = "<!-- compare begin -->\n", "<!-- compare end -->\n"
        old = arguments.report.read_text() if arguments.report.exists() else ""
        if begin in old and end in old:
            text = old[:old.index(begin)] + begin + "\n" + text + "\n" + old[old.index(end):]
        arguments.report.write_text(text)


if __name__ == "__main__":
    main()
