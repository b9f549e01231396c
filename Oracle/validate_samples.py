"""Checks texts that were written under constraints with the `jsonschema` package: an independent opinion on whether they are valid.

    GEMMA3N_GENERATIONS=answers.jsonl swift test -c release --filter ConstrainedGenerationTests
    python Oracle/validate_samples.py answers.jsonl

    GEMMA3N_SAMPLES=samples GEMMA3N_TOKENIZER=real swift test -c release --filter SampleTests
    python Oracle/validate_samples.py samples

A line of the file is an object with schema (its place among those of suite.json and schemas.json in Tests/Fixtures/constraints), seed,
finish and text. The folder holds schemas.json, a list of {"name", "schema"}, and samples.json, a list of [index of the schema, text].
"""

import base64
import collections
import json
import re
import sys
from decimal import Decimal, getcontext
from pathlib import Path

import jsonschema
import jsonschema._keywords
import jsonschema._utils
import regex

FIXTURES = Path(__file__).parent.parent / "Tests/Fixtures/constraints"
CLASSES = {"w": "A-Za-z0-9_", "d": "0-9", "s": r"\s\ufeff"}


def ecma(pattern: str) -> str:
    """A pattern of ECMA-262 as Python reads it: \\w and \\d are ASCII, \\s has U+FEFF, $ is the very end, \\cA and \\u{a} are known."""
    result, in_class, i = [], False, 0
    while i < len(pattern):
        part = pattern[i:i + 2] if pattern[i] == "\\" else pattern[i]
        i += len(part)
        if part == "\\c":
            part, i = f"\\x{ord(pattern[i]) % 32:02x}", i + 1
        elif part == "\\u" and pattern[i:i + 1] == "{":
            end = pattern.index("}", i)
            part, i = f"\\U{pattern[i + 1:end]:0>8}", end + 1
        letter = part[1:].lower()
        if letter in CLASSES and part[1].islower():
            part = CLASSES[letter] if in_class else f"[{CLASSES[letter]}]"
        elif letter in CLASSES and not in_class:
            part = f"[^{CLASSES[letter]}]"
        elif part == "$" and not in_class:
            part = r"\Z"
        elif part in "[]":
            in_class = part == "["
        result.append(part)
    return "".join(result)


class Expressions:
    """What jsonschema takes from the module re."""

    @staticmethod
    def search(pattern, text):
        return regex.search(ecma(pattern), text)


def number(text: str):
    """Exactly, so that multipleOf is decided on decimals. Whole numbers are whole however they are written."""
    value = Decimal(text)
    return int(value) if value == value.to_integral_value() else value


def read(text: str):
    return json.loads(text, parse_float=number)


def format_checker() -> jsonschema.FormatChecker:
    """The package's own, and the formats of OpenAPI that it leaves out."""
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    # Refuses every pointer that begins with a number like 606.
    checker.checkers.pop("relative-json-pointer", None)
    missing = {"hostname", "uri", "uri-reference", "duration", "json-pointer", "date-time"} - set(checker.checkers)
    if missing:
        sys.exit(f"jsonschema cannot judge {', '.join(sorted(missing))}: install jsonschema[format-nongpl]")
    for bits in [32, 64]:
        checker.checks(f"int{bits}")(lambda value, bits=bits: not isinstance(value, int) or -(1 << bits - 1) <= value < 1 << bits - 1)
    checker.checks("byte", raises=ValueError)(lambda value: not isinstance(value, str) or base64.b64decode(value, validate=True) is not None)
    return checker


def fixtures() -> list:
    groups = read((FIXTURES / "suite.json").read_text())["groups"]
    return [{"name": group["description"], **group} for group in groups] + read((FIXTURES / "schemas.json").read_text())


def main() -> None:
    jsonschema._keywords.re = jsonschema._utils.re = Expressions
    getcontext().prec = 500
    path = Path(sys.argv[1])
    if path.is_dir():
        schemas = read((path / "schemas.json").read_text())
        samples = [(*sample, "stop") for sample in json.loads((path / "samples.json").read_text())]
    else:
        schemas = fixtures()
        lines = [json.loads(line) for line in path.read_text().split("\n") if line]
        samples = [(line["schema"], line["text"], line["finish"]) for line in lines]
    finishes = collections.Counter(finish for _, _, finish in samples)
    print(f"{len(samples)} texts of {len({index for index, _, _ in samples})} schemas: " + ", ".join(f"{count} {finish}" for finish, count in finishes.items()))
    checker = format_checker()
    validators = [jsonschema.Draft202012Validator(entry["schema"], format_checker=checker) for entry in schemas]
    valid, wrong, unchecked, seen = 0, 0, 0, set()
    for index, text, finish in samples:
        if finish == "length":
            continue
        seen.add(index)
        try:
            error = next(validators[index].iter_errors(read(text)), None)
        except (json.JSONDecodeError, RecursionError) as failure:
            error = failure
        except (regex.error, re.error):
            unchecked += 1
            continue
        if error is None:
            valid += 1
        else:
            wrong += 1
            if wrong <= 20:
                print(f"{schemas[index]['name']}: {text[:300]!r}: {str(error).splitlines()[0]}")
    print(f"{valid} valid, {wrong} not, {unchecked} with expressions that Python does not know, of {len(seen)} schemas that ended")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
