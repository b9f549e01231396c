"""Writes Tests/Fixtures/constraints/schemas.json: schemas for sampling and timing, those of `interface_schemas.py` among them. Those with a
text are timed over that text.

    python Oracle/constraint_schemas.py
"""

import json
from pathlib import Path

import interface_schemas

FIXTURE = Path(__file__).parent.parent / "Tests/Fixtures/constraints/schemas.json"
schemas = []


def add(name: str, schema: dict, value=None) -> None:
    entry = {"name": name, "schema": schema}
    if value is not None:
        entry["text"] = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    schemas.append(entry)


def record(properties: dict, required: list | None = None, **more) -> dict:
    return {"type": "object", "properties": properties, "required": list(properties) if required is None else required, **more}


def timed() -> None:
    text, integer = {"type": "string"}, {"type": "integer"}
    add("person",
        record({"name": text, "age": {"type": "integer", "minimum": 0, "maximum": 150}, "email": {"type": "string", "format": "email"},
                "tags": {"type": "array", "items": text, "maxItems": 5}}, additionalProperties=False),
        {"name": "Ada Lovelace, countess of the analytical engine", "age": 36, "email": "ada.lovelace@example.com",
         "tags": ["mathematics", "poetry", "machines"]})
    thing = record({"label": {"enum": ["cat", "dog", "person", "car", "tree", "house"]}, "count": {"type": "integer", "minimum": 1, "maximum": 99},
                    "confidence": {"type": "number", "minimum": 0, "maximum": 1}})
    add("picture question",
        record({"caption": {"type": "string", "maxLength": 200}, "objects": {"type": "array", "items": thing, "maxItems": 20},
                "indoors": {"type": "boolean"}}),
        {"caption": "Two cats sleep on the bonnet of an old blue car; behind it stands a row of lime trees, and 日本 flags wave.",
         "objects": [{"label": "cat", "count": 2, "confidence": 0.98}, {"label": "car", "count": 1, "confidence": 0.9},
                     {"label": "tree", "count": 7, "confidence": 0.55}], "indoors": False})
    arguments = record({"query": text, "limit": {"type": "integer", "minimum": 1, "maximum": 100}, "unit": {"enum": ["celsius", "fahrenheit"]}},
                       ["query"])
    add("tool call", {"anyOf": [record({"name": {"const": f"tool_{n}"}, "arguments": arguments}) for n in "abcdefgh"]},
        {"name": "tool_c", "arguments": {"query": "what will the weather be in Reykjavík tomorrow afternoon?", "limit": 5, "unit": "celsius"}})
    node = record({"value": {"type": ["string", "number", "null"]}, "children": {"type": "array", "items": {"$ref": "#/$defs/n"}}})
    add("recursive tree", {"$ref": "#/$defs/n", "$defs": {"n": node}},
        {"value": "root", "children": [{"value": 1.5, "children": [{"value": None, "children": []}, {"value": "leaf of the tree", "children": []}]},
                                       {"value": "x", "children": []}]})
    add("dates and ids",
        record({"id": {"type": "string", "format": "uuid"}, "created": {"type": "string", "format": "date-time"},
                "price": {"type": "number", "multipleOf": 0.01, "minimum": 0}, "sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4,8}$"},
                "note": {"type": "string", "pattern": "^[^<>]*$"}}),
        {"id": "123e4567-e89b-12d3-a456-426614174000", "created": "2026-11-21T13:20:00Z", "price": 19.99, "sku": "ABC-12345",
         "note": "handle with care, it is made of glass and rather old"})
    add("open object", record({"kind": text}, additionalProperties=text),
        {"kind": "letter", "from": "the lighthouse keeper", "to": "anybody at all", "kinds": "many"})
    add("any object", {"type": "object"},
        {"a": [1, 2, {"b": None}], "text": "free text in a free object", "deep": {"er": {"still": [True, False]}}})
    add("100 properties", record({f"property_{i}": text if i % 3 else integer for i in range(100)}, []),
        {f"property_{i}": "v" if i % 3 else i for i in range(0, 100, 7)})
    add("enum of 1000", record({"code": {"enum": [f"item {i * 7919 % 100003} of the list" for i in range(1000)]}}), {"code": "item 7919 of the list"})


def combinations() -> None:
    text, integer, flag, null = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {"type": "null"}
    digit = {"type": "integer", "minimum": 0, "maximum": 9}
    money = record({"amount": {"type": "integer", "minimum": 0}, "currency": {"enum": ["EUR", "USD", "GBP", "JPY"]}}, additionalProperties=False)
    line = record({"sku": {"type": "string", "pattern": "^[A-Z0-9]{4,8}$"}, "unit": {"$ref": "#/$defs/money"}, "n": {"type": "integer", "exclusiveMinimum": 0}})
    add("invoice", record({"id": {"type": "string", "format": "uuid"}, "lines": {"type": "array", "minItems": 1, "items": line},
                           "total": {"$ref": "#/$defs/money"}, "due": {"type": "string", "format": "date"}}, ["id", "lines", "total"],
                          **{"$defs": {"money": money}}))
    term = record({"op": {"enum": ["+", "-", "*"]}, "left": {"$ref": "#/$defs/e"}, "right": {"$ref": "#/$defs/e"}}, additionalProperties=False)
    add("expression", {"$ref": "#/$defs/e", "$defs": {"e": {"oneOf": [{"type": "number"}, term]}}})
    place = {"type": "array", "prefixItems": [{"type": "number", "minimum": -180, "maximum": 180}, {"type": "number", "minimum": -90, "maximum": 90}],
             "items": False, "minItems": 2}
    places = {"type": "array", "items": {"$ref": "#/$defs/p"}}
    shapes = {"Point": {"$ref": "#/$defs/p"}, "LineString": {**places, "minItems": 2}, "Polygon": {"type": "array", "items": {**places, "minItems": 4}}}
    add("geography", {"oneOf": [record({"type": {"const": name}, "coordinates": shape}) for name, shape in shapes.items()], "$defs": {"p": place}})
    cases = [("a", integer), ("b", {"type": "array", "items": flag}), ("c", null)]
    add("discriminated", record({"kind": {"enum": ["a", "b", "c"]}, "v": {}}, allOf=[
        {"if": {"properties": {"kind": {"const": kind}}}, "then": {"properties": {"v": value}}} for kind, value in cases]))
    add("unicode keys", record({"naïve": text, "日本語": {"const": "はい"}, "🙂": flag, "quo\"te\n": {"enum": ["a\"b", "c\\d", "\t"]}},
                               ["日本語", "🙂", "quo\"te\n"]))
    add("unique", {"type": "array", "items": {"enum": list("abcdefgh")}, "uniqueItems": True, "minItems": 3})
    add("contains", {"type": "array", "items": digit, "contains": {"multipleOf": 3}, "minContains": 1, "maxContains": 2, "maxItems": 6})
    add("patterns", {"type": "object", "patternProperties": {"^s_": text, "_n$": {"type": ["number", "string"]}}, "additionalProperties": False,
                     "minProperties": 1, "maxProperties": 3})
    add("names", {"type": "object", "propertyNames": {"pattern": "^[a-z]{1,3}$"}, "additionalProperties": integer, "maxProperties": 4})
    add("dependent", record({"card": text, "address": text, "zip": integer}, [], dependentRequired={"card": ["address"]},
                            dependentSchemas={"zip": {"required": ["address"], "properties": {"address": {"minLength": 2}}}}))
    pair = record({"head": integer, "tail": {"$ref": "#/$defs/l"}}, additionalProperties=False)
    add("list", {"$ref": "#/$defs/l", "$defs": {"l": {"anyOf": [null, pair]}}})
    add("mutual", {"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/b"}, "maxItems": 3},
                                                  "b": record({"a": {"$ref": "#/$defs/a"}})}})
    add("mixed enum", {"enum": [f"value number {i} é" for i in range(200)] + list(range(-50, 50)) + [None, True, {"a": [1, 2]}]})
    add("nots", {"type": ["integer", "string"], "not": {"anyOf": [{"multipleOf": 2}, {"pattern": "a"}]}, "minimum": 0, "maximum": 50, "maxLength": 8})
    add("some properties", record({name: digit for name in "abcdef"}, [], additionalProperties=False, minProperties=2, maxProperties=3))


def leaves() -> None:
    for name in ["date", "time", "date-time", "duration", "uuid", "email", "hostname", "ipv4", "ipv6", "uri", "uri-reference", "json-pointer"]:
        add(f"format {name}", {"type": "string", "format": name})
    for low, high in [(0, 1), (-1, 1), (-0.5, 0.25), (1e-3, 1e3), (-273.15, 1e6), (99, 100)]:
        add(f"number from {low} to {high}", {"type": "number", "minimum": low, "maximum": high})
        add(f"integer between {low - 2} and {high + 2}", {"type": "integer", "exclusiveMinimum": low - 2, "exclusiveMaximum": high + 2})
    for divisor in [2, 3, 7, 0.5, 0.01, 0.25, 12, 1000, 1.5]:
        add(f"multiple of {divisor}", {"type": "number", "multipleOf": divisor})
    for low, high in [(0, 0), (1, 1), (3, 10), (50, 60), (0, 300)]:
        add(f"length {low} to {high}", {"type": "string", "minLength": low, "maxLength": high})
    for pattern in ["^[a-z]+$", "\\d{3}", "^(?!x)[x-z]{2,4}$", "^\\p{Lu}\\p{Ll}*$", "[^\"\\\\]$", "^.{2,5}$", "^(a|b\"c)+$"]:
        add(f"pattern {pattern}", {"type": "string", "pattern": pattern})


timed()
combinations()
leaves()
for name, schema in interface_schemas.schemas():
    add(name, schema)
FIXTURE.write_text("[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False, separators=(",", ":")) for entry in schemas) + "\n]\n")
print(f"{len(schemas)} schemas, {FIXTURE.stat().st_size} bytes")
