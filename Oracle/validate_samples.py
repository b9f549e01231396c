"""Checks texts that were drawn under constraints with the `jsonschema` package: an independent opinion on whether they are valid.

    GEMMA3N_SAMPLES=samples GEMMA3N_TOKENIZER=real swift test -c release --filter SampleTests
    python Oracle/validate_samples.py samples

The folder holds schemas.json, a list of {"name", "schema"}, and samples.json, a list of [index of the schema, text].
"""

import json
import re
import sys
from decimal import Decimal, getcontext
from pathlib import Path

import jsonschema
import jsonschema._keywords
import jsonschema._utils
import regex

CLASSES = {"w": "A-Za-z0-9_", "d": "0-9", "s": r"\s\ufeff"}


def ecma(pattern: str) -> str:
    """A pattern of ECMA-262 as Python reads it: \\w and \\d are ASCII, \\s has U+FEFF, $ is the very end."""
    result, in_class, i = [], False, 0
    while i < len(pattern):
        part = pattern[i:i + 2] if pattern[i] == "\\" else pattern[i]
        i += len(part)
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


def main() -> None:
    jsonschema._keywords.re = jsonschema._utils.re = Expressions
    getcontext().prec = 500
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    # Refuses every pointer that begins with a number like 606.
    checker.checkers.pop("relative-json-pointer", None)
    folder = Path(sys.argv[1])
    schemas = read((folder / "schemas.json").read_text())
    validators = [jsonschema.Draft202012Validator(entry["schema"], format_checker=checker) for entry in schemas]
    valid, wrong, unchecked, seen = 0, 0, 0, set()
    for index, text in json.loads((folder / "samples.json").read_text()):
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
    print(f"{valid} valid, {wrong} not, {unchecked} with expressions that Python does not know, of {len(seen)} schemas")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
