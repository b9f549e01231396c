"""Writes the real Gemma vocabulary in both of its forms and a large corpus with the reference library's ids, for the opt-in
comparison in Tests/TokenizationTests. Nothing of it is committed: the vocabulary is under Google's Gemma terms.

    python Oracle/real_vocabulary.py gemma-3.gguf OUTPUT [--count 24000]
    GEMMA3N_TOKENIZER=OUTPUT swift test -c release --filter RealVocabulary

Any GGUF file of a Gemma 3 model will do, also its first 10 MB alone: the vocabulary lies in front of the tensors. Of a whole file the
`gguf` package's reading of metadata and tensors is written as well (gguf.json), for RealGGUF in Tests/Gemma3nHostTests.
"""

import argparse
import json
import random
import struct
import time
from pathlib import Path

import tokenizer as oracle
from sentencepiece import sentencepiece_model_pb2 as proto

# Gemma 3n numbers these behind the SentencePiece vocabulary.
MEDIA = {"<end_of_image>": 262144, "<image_soft_token>": 262145, "<end_of_audio>": 262272, "<audio_soft_token>": 262273}


def gguf_metadata(path: Path) -> dict:
    """The key-value section of a GGUF file (version 2 or 3, little-endian)."""
    numbers = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
    with path.open("rb") as file:
        def number(code: str):
            return struct.unpack("<" + code, file.read(struct.calcsize("<" + code)))[0]

        def value(kind: int):
            if kind == 8:
                return file.read(number("Q"))
            if kind == 9:
                element, count = number("I"), number("Q")
                if element in numbers:
                    layout = f"<{count}{numbers[element]}"
                    return struct.unpack(layout, file.read(struct.calcsize(layout)))
                return [value(element) for _ in range(count)]
            return number(numbers[kind])

        if file.read(4) != b"GGUF" or number("I") not in (2, 3):
            raise SystemExit(f"{path} is no GGUF file of version 2 or 3")
        number("Q")
        return {value(8).decode(): value(number("I")) for _ in range(number("Q"))}


def write_sentencepiece(metadata: dict, path: Path) -> list[str]:
    """`tokenizer.model` as the released one: GGUF writes U+2581 in user-defined pieces as spaces, marks unused pieces as control
    tokens, and puts a placeholder where a piece has no score."""
    model = proto.ModelProto()
    pieces = []
    kinds = metadata["tokenizer.ggml.token_type"]
    for index, (text, score) in enumerate(zip(metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.scores"])):
        name = text.decode().replace(" ", "▁")
        kind = 2 if index == 3 else 3 if index < 3 else 4 if kinds[index] == 3 else kinds[index]
        if index == 256_000:
            name = "<start_of_audio>"
        pieces.append(name)
        model.pieces.add(piece=name, score=score if kind == 1 else 0.0, type=kind)
    trainer = model.trainer_spec
    trainer.model_type, trainer.vocab_size, trainer.byte_fallback = 2, len(pieces), True
    trainer.pad_id, trainer.eos_id, trainer.bos_id, trainer.unk_id = 0, 1, 2, 3
    trainer.pad_piece, trainer.eos_piece, trainer.bos_piece, trainer.unk_piece = pieces[:4]
    normalizer = model.normalizer_spec
    normalizer.name, normalizer.add_dummy_prefix, normalizer.remove_extra_whitespaces = "identity", False, False
    path.write_bytes(model.SerializeToString())
    return pieces


def mixtures(pieces: list[str], count: int) -> list[str]:
    """Random mixtures of everything that has ever broken a tokenizer."""
    draw = random.Random(11)
    ranges = [(32, 126), (160, 591), (768, 879), (880, 1279), (1425, 1791), (2304, 3455), (3585, 3711), (4256, 4351), (4352, 4607),
              (6016, 6143), (8192, 8303), (9600, 9631), (12353, 12543), (19968, 40959), (44032, 55203), (57344, 57444), (65024, 65060),
              (65280, 65519), (119808, 120831), (127744, 129535), (131072, 131200), (1114000, 1114111)]
    emoji = ["👨‍👩‍👧‍👦", "🏳️‍🌈", "👩🏾‍💻", "🇩🇪🇫🇷🇯🇵", "1️⃣", "👍🏽", "🧑🏿‍🤝‍🧑🏻", "❤️‍🔥", "\U0001f9ff\u200d", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"]
    code = ["def f(x):\n    return x ** 2\n", "for (int i = 0; i < n; ++i) {\n\t\tsum += a[i];\n\t}\n", "SELECT * FROM t WHERE x != 'y';",
            "let y = try? map { $0 as? String } ?? \"\"", "<div class=\"a\">\n  <b>x</b>\n</div>", "\\begin{align} x^2 &= 3 \\\\ \\end{align}",
            "{\"k\": [1, 2.5e-3, null]}", "https://example.org/a?b=%20c&d=e#f", "$ grep -rn 'x' . | wc -l", "0x7fff_ffff 1_000_000 3.14159"]
    added = ["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<image_soft_token>", "<unused99>", "<unused999>", "<mask>",
             "[multimodal]", "<table>", "</h1>", "<code>", "</s>", "<0x41>", "<start_of_", "<unk>", "<pad", "<h1", "</"]
    whites = [" ", "  ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u3000", "\u2028", "▁", "▁▁", " ▁"]

    def part() -> str:
        kind = draw.randrange(12)
        if kind == 0:
            low, high = draw.choice(ranges)
            return "".join(chr(draw.randint(low, high)) for _ in range(draw.randint(1, 12)))
        if kind == 1:
            return draw.choice(emoji) * draw.randint(1, 3)
        if kind == 2:
            return draw.choice(whites) * draw.randint(1, 40)
        if kind == 3:
            return "".join(chr(draw.randint(0, 31)) if draw.random() < 0.7 else "\x7f" for _ in range(draw.randint(1, 4)))
        if kind == 4:
            return draw.choice(code)
        if kind == 5:
            return draw.choice(added)
        if kind == 6:
            return str(draw.randint(0, 10 ** draw.randint(1, 18)))
        if kind == 7:
            return draw.choice("abcxyz.-=_*#~01é你🙂") * draw.randint(1, 70)
        if kind == 8:
            return " ".join(draw.choice(oracle.WORDS) for _ in range(draw.randint(1, 15)))
        if kind == 9:
            return "".join(chr(draw.choice([101, 111, 97, 117, 0x4E00, 0x915])) + chr(draw.randint(0x300, 0x36F)) for _ in range(draw.randint(1, 5)))
        return "".join(draw.choice(pieces).replace("▁", " ") for _ in range(draw.randint(1, 12)))

    texts = oracle.awkward_texts()
    # Every script's own pieces, a block of the vocabulary at a time.
    texts += ["".join(pieces[i:i + 24]).replace("▁", " ") for i in range(0, len(pieces), 24)]
    return texts + ["".join(part() for _ in range(draw.randint(1, 9))) for _ in range(count)]


def long_texts(pieces: list[str]) -> list[str]:
    draw = random.Random(12)
    letters = "".join(draw.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(200_000))
    normal = [piece.replace("▁", " ") for piece in pieces[500:250_000]]
    mixed = "".join(draw.choice(normal) for _ in range(160_000))
    words = " ".join(draw.choice(oracle.WORDS) for _ in range(220_000))
    sources = "".join(path.read_text() for path in sorted(Path(json.__file__).parent.parent.glob("[a-d]*.py")))
    return [letters, "a" * 200_000, "你好世界" * 50_000, " " * 200_000, mixed[:1_000_000], words[:1_000_000], sources[:1_000_000]]


def write_gguf_reading(path: Path, output: Path) -> None:
    """What the `gguf` package reads from the file: metadata (of lists their length and first elements), and of every tensor the sum of the
    float32 values' bits, each times its place counted by odd numbers, modulo 2^64."""
    import numpy as np
    from gguf import GGUFReader, quants

    def shown(value):
        return float(value) if isinstance(value, (float, np.floating)) else value

    reader = GGUFReader(path)
    metadata = {}
    for key, field in reader.fields.items():
        value = field.contents()
        if key.startswith("GGUF."):
            continue
        metadata[key] = {"count": len(value), "first": [shown(v) for v in value[:600]]} if isinstance(value, list) else shown(value)
    tensors = []
    for tensor in reader.tensors:
        total, place, count, columns = 0, 0, 0, int(tensor.shape[0])
        data = tensor.data.reshape(-1, tensor.data.shape[-1])
        # A few thousand rows at a time: the embedding would take 700 MB.
        for start in range(0, len(data), 8192):
            words = quants.dequantize(data[start:start + 8192], tensor.tensor_type).astype(np.float32).reshape(-1).view(np.uint32)
            places = np.arange(place, place + len(words), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
            total = (total + int((words.astype(np.uint64) * places).sum(dtype=np.uint64))) % 2**64
            place += len(words)
        tensors.append({"name": tensor.name, "type": tensor.tensor_type.name, "shape": [int(n) for n in reversed(tensor.shape)],
                        "checksum": str(total)})
    (output / "gguf.json").write_text(json.dumps({"path": str(path.resolve()), "metadata": metadata, "tensors": tensors}, ensure_ascii=False))
    print(f"{len(metadata)} keys and {len(tensors)} tensors in gguf.json")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("gguf", type=Path)
    arguments.add_argument("output", type=Path)
    arguments.add_argument("--count", type=int, default=24_000, help="random mixtures in the corpus")
    options = arguments.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)

    pieces = write_sentencepiece(gguf_metadata(options.gguf), options.output / "tokenizer.model")
    oracle.convert(options.output, media=MEDIA, merges_as_text=False)
    path = options.output / "tokenizer.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data, ensure_ascii=False, indent=2))  # laid out like the released file
    print(f"{len(pieces)} pieces, {len(data['model']['merges'])} merges, {len(data['added_tokens'])} added tokens, {path.stat().st_size} bytes")

    from tokenizers import Tokenizer

    start = time.perf_counter()
    library = Tokenizer.from_file(str(path))
    print(f"tokenizers: opens tokenizer.json in {time.perf_counter() - start:.2f} s")
    texts = mixtures(pieces, options.count)
    with (options.output / "corpus.json").open("w") as file:
        entries = zip(texts, library.encode_batch(texts, add_special_tokens=False))
        file.write("[\n" + ",\n".join(json.dumps({"text": text, "ids": encoding.ids, "decoded": library.decode(encoding.ids, skip_special_tokens=False)})
                                      for text, encoding in entries) + "\n]\n")
    with (options.output / "long.json").open("w") as file:
        lines = []
        for text in long_texts(pieces):
            start = time.perf_counter()
            ids = library.encode(text, add_special_tokens=False).ids
            print(f"tokenizers: {len(text.encode())} bytes to {len(ids)} ids in {time.perf_counter() - start:.2f} s")
            lines.append(json.dumps({"text": text, "ids": ids}))
        file.write("[\n" + ",\n".join(lines) + "\n]\n")
    print(f"{len(texts)} texts and {len(lines)} long ones in {options.output}")
    try:
        write_gguf_reading(options.gguf, options.output)
    except ValueError as error:
        print(f"no gguf.json: {error}. Is the file whole?")


if __name__ == "__main__":
    main()
