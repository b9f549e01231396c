"""Checks texts that were drawn under constraints with the `jsonschema` package: an independent opinion on whether they are valid.

    python Oracle/validate_samples.py schemas.json < samples.tsv

schemas.json is a list of {"name", "schema"}; each line of samples.tsv is the index of a schema, a tab, and a text without line breaks
outside of JSON's escapes (those of free white space are written as they are and joined to the line before).
"""

import json
import sys

import jsonschema
import jsonschema._keywords
import jsonschema._utils
import regex

# The standard library's expressions lack \\p{…}.
jsonschema._keywords.re = jsonschema._utils.re = regex


def samples(lines):
    """Index and text; a text may go on over several lines."""
    current = None
    for line in lines:
        head, tab, rest = line.partition("\t")
        if tab and head.isdigit() and (current is None or complete(current[1])):
            if current:
                yield current
            current = (int(head), rest)
        else:
            current = (current[0], current[1] + line)
    if current:
        yield current


def complete(text: str) -> bool:
    try:
        json.loads(text)
        return True
    except json.JSONDecodeError:
        return False


def main() -> None:
    schemas = json.load(open(sys.argv[1]))
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    validators = [jsonschema.Draft202012Validator(entry["schema"], format_checker=checker) for entry in schemas]
    valid, wrong, unchecked, seen = 0, 0, 0, set()
    for index, text in samples(open(0, newline="\n", encoding="utf-8")):
        seen.add(index)
        try:
            error = next(validators[index].iter_errors(json.loads(text)), None)
        except (json.JSONDecodeError, RecursionError) as failure:
            error = failure
        except regex.error:
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
