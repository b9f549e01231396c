"""Writes everything under Tests/Fixtures that comes from the reference implementation.

    python Oracle/make_fixtures.py [PART...]     parts: checkpoints tokenizer activations resize mel vision quantised slices; all without one
"""

import sys
from pathlib import Path

import reference  # noqa: F401

FIXTURES = Path(__file__).resolve().parent.parent / "Tests" / "Fixtures"
CHECKPOINTS = FIXTURES / "checkpoints"


def make_tokenizer():
    import tokenizer

    output = FIXTURES / "tokenizer"
    output.mkdir(parents=True, exist_ok=True)
    tokenizer.record_chats(CHECKPOINTS / "tiny", output / "chats.json")
    for name, suffix in (("tiny", ""), ("tiny-text", "-text")):
        tokenizer.record_corpus(CHECKPOINTS / name, output / f"corpus{suffix}.json")
        tokenizer.record_decoding(CHECKPOINTS / name, output / f"decoding{suffix}.json")
        tokenizer.record_long_lines(CHECKPOINTS / name, output / f"long-lines{suffix}.json")


def make_checkpoints():
    import tiny

    for name in tiny.CHECKPOINTS:
        tiny.write_tokenizer(name, CHECKPOINTS / name)
        tiny.write_checkpoint(name, CHECKPOINTS / name)


def make_activations():
    import activations

    output = FIXTURES / "activations"
    activations.record(CHECKPOINTS / "tiny", output / "tiny", activations.CASES, ["text", "image", "audio"], [0, 3, 6])
    activations.record_context(CHECKPOINTS / "tiny", output / "tiny", 700, [0, 15, 255, 256, 257, 400, 511, 512, 699])
    activations.record(CHECKPOINTS / "tiny-bf16", output / "tiny-bf16", activations.CASES, [], [])
    activations.record(CHECKPOINTS / "tiny-text", output / "tiny-text", ["text", "long"], ["text"], [0, 14])


def make_resize():
    import preprocessing

    preprocessing.record_resize(FIXTURES / "resize")


def make_mel():
    import preprocessing

    preprocessing.record_mel(FIXTURES / "mel")


def make_vision():
    import vision

    vision.record_filters(FIXTURES / "vision")
    vision.record_sizes(CHECKPOINTS / "tiny", FIXTURES / "vision")


def make_quantised():
    import quantised_blocks

    quantised_blocks.record(FIXTURES / "quantised")


def make_slices():
    import slices

    slices.record(FIXTURES / "slices")


PARTS = {"checkpoints": make_checkpoints, "tokenizer": make_tokenizer, "activations": make_activations, "resize": make_resize, "mel": make_mel,
         "vision": make_vision, "quantised": make_quantised, "slices": make_slices}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
