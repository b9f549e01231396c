"""Times llguidance and xgrammar on the schemas of Tests/Fixtures/constraints/schemas.json, as SampleTests times ours.

    pip install llguidance xgrammar tokenizers
    python Benchmarks/constraints.py real/tokenizer.json

Compact JSON, one thread, masks in microseconds over the text given with each schema.
"""

import json
import sys
import time
from pathlib import Path

import tokenizers

SCHEMAS = Path(__file__).parent.parent / "Tests/Fixtures/constraints/schemas.json"


def timed(action):
    start = time.perf_counter()
    result = action()
    return result, (time.perf_counter() - start) * 1e6


def quantiles(values: list[float]) -> str:
    values = sorted(values)
    return f"median {values[len(values) // 2]:.0f} us, p99 {values[len(values) * 99 // 100]:.0f} us, most {values[-1]:.0f} us"


def measure(name: str, entries: list, compile, ids, end: int) -> None:
    """compile(schema) gives two functions: one makes a mask, one takes a token."""
    all_times = []
    for entry in entries:
        (mask, take), seconds = timed(lambda: compile(entry["schema"]))
        times, note = [], ""
        for token in [*ids(entry["text"]), end]:
            times.append(timed(mask)[1])
            if not take(token):
                note = f", refuses token {token}"
                break
        all_times += times
        print(f"{name}, {entry['name']}: compiles in {seconds:.0f} us; masks {quantiles(times)}{note}")
    print(f"{name}, all: {quantiles(all_times)}")


def main() -> None:
    path = sys.argv[1]
    tokenizer = tokenizers.Tokenizer.from_file(path)
    end = tokenizer.token_to_id("<end_of_turn>")
    entries = [entry for entry in json.loads(SCHEMAS.read_text()) if "text" in entry]

    def ids(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False).ids

    import llguidance

    vocabulary = llguidance.LLTokenizer(Path(path).read_text(), eos_token=end)

    def guidance(schema: dict):
        grammar = llguidance.LLMatcher.grammar_from_json_schema({**schema, "x-guidance": {"whitespace_flexible": False}})
        matcher = llguidance.LLMatcher(vocabulary, grammar)
        return matcher.compute_bitmask, matcher.consume_token

    measure("llguidance", entries, guidance, ids, end)

    import xgrammar

    pieces = [""] * (1 + max(tokenizer.get_vocab().values()))
    for piece, index in tokenizer.get_vocab().items():
        pieces[index] = piece
    info = xgrammar.TokenizerInfo(pieces, vocab_type=xgrammar.VocabType.BYTE_FALLBACK, vocab_size=len(pieces), stop_token_ids=[end])
    compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
    bits = xgrammar.allocate_token_bitmask(1, len(pieces))

    def xgr(schema: dict):
        compiled = compiler.compile_json_schema(json.dumps(schema), any_whitespace=False, separators=(",", ":"), strict_mode=True)
        matcher = xgrammar.GrammarMatcher(compiled)
        return lambda: matcher.fill_next_token_bitmask(bits), matcher.accept_token

    measure("xgrammar", entries, xgr, ids, end)


if __name__ == "__main__":
    main()
