"""Schemas in the manner of public interfaces: requests, documents, settings, trees. `constraint_schemas.py` writes them down."""

TEXT, WHOLE, FLAG, NUMBER, NULL = ({"type": name} for name in ["string", "integer", "boolean", "number", "null"])


def record(properties: dict, required: list | None = None, **more) -> dict:
    return {"type": "object", "properties": properties, "required": list(properties) if required is None else required, **more}


def closed(properties: dict, required: list | None = None, **more) -> dict:
    return record(properties, required, additionalProperties=False, **more)


def listed(items: dict, low: int | None = None, high: int | None = None, **more) -> dict:
    limits = {"minItems": low, "maxItems": high}
    return {"type": "array", "items": items, **{key: value for key, value in limits.items() if value is not None}, **more}


def choice(*values) -> dict:
    return {"enum": list(values)}


def pattern(expression: str, **more) -> dict:
    return {"type": "string", "pattern": expression, **more}


def form(name: str) -> dict:
    return {"type": "string", "format": name}


def short(length: int = 12, low: int = 0) -> dict:
    return {"type": "string", "minLength": low, "maxLength": length}


def between(low, high, kind: str = "integer", **more) -> dict:
    return {"type": kind, "minimum": low, "maximum": high, **more}


def named(name: str) -> dict:
    return {"$ref": f"#/$defs/{name}"}


def rooted(root: str, **definitions) -> dict:
    return {"$ref": f"#/$defs/{root}", "$defs": definitions}


def requests():
    yield "JSON-RPC request", closed({"jsonrpc": {"const": "2.0"}, "method": pattern("^[a-z]+(\\.[a-z]+)?$"), "id": {"type": ["string", "integer", "null"]},
                                      "params": {"oneOf": [listed(NUMBER, high=3), {"type": "object", "maxProperties": 2}]}}, ["jsonrpc", "method"])
    error = closed({"code": {"anyOf": [choice(-32700, -32600, -32601), between(-32099, -32000)]}, "message": short(20)})
    yield "JSON-RPC response", {"oneOf": [closed({"jsonrpc": {"const": "2.0"}, "id": WHOLE, "result": {"type": ["number", "boolean", "null"]}}),
                                          closed({"jsonrpc": {"const": "2.0"}, "id": WHOLE, "error": error})]}
    path = pattern("^(/[a-z0-9~_-]{0,8}){0,4}$")
    yield "patch of a document", listed({"oneOf": [
        closed({"op": choice("add", "replace", "test"), "path": path, "value": {"type": ["string", "number", "null"]}}),
        closed({"op": {"const": "remove"}, "path": path}), closed({"op": choice("move", "copy"), "from": path, "path": path})]}, 1, 4)
    yield "problem details", record({"type": form("uri-reference"), "title": short(30), "status": between(100, 599), "instance": form("uri-reference")}, ["title", "status"])
    yield "query of a graph", closed({"query": pattern("^\\{ ?[a-z]+(\\{[a-z ]+\\})? ?\\}$"), "operationName": {"type": ["string", "null"], "maxLength": 10},
                                      "variables": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}, "maxProperties": 3}}, ["query"])
    leaf = closed({"term": {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": TEXT}})
    span = closed({"range": closed({"field": pattern("^[a-z_]{1,8}$"), "gte": NUMBER, "lt": NUMBER}, ["field"], anyOf=[{"required": ["gte"]}, {"required": ["lt"]}])})
    clauses = listed(named("query"), high=2)
    both = closed({"bool": closed({"must": clauses, "should": clauses, "must_not": clauses}, [], minProperties=1)})
    yield "search", rooted("query", query={"oneOf": [leaf, span, both]})
    operators = closed({f"${name}": {"type": ["number", "string"]} for name in ["eq", "gt", "lt"]}, [], minProperties=1)
    yield "filter", rooted("filter", filter={"type": "object", "patternProperties": {"^[a-z]": {"anyOf": [operators, {"type": ["string", "number", "boolean"]}]},
                                                                                    "^\\$(and|or)$": listed(named("filter"), 1, 2)},
                                            "additionalProperties": False, "minProperties": 1, "maxProperties": 3})
    yield "page of results", record({"items": listed(record({"id": pattern("^[0-9a-f]{24}$"), "score": between(0, 1, "number")}), high=4),
                                     "next": {"anyOf": [form("uri"), NULL]}, "total": between(0, 100000)})
    yield "token of a login", closed({"access_token": pattern("^[A-Za-z0-9_-]{20,40}$"), "token_type": choice("Bearer", "mac"), "expires_in": between(0, 86400),
                                      "refresh_token": pattern("^[A-Za-z0-9_-]{20}$"), "scope": pattern("^[a-z]+( [a-z]+){0,3}$")}, ["access_token", "token_type"])
    yield "claims", record({"iss": form("uri"), "sub": short(), "aud": {"anyOf": [short(), listed(short(), 1, 3)]}, "exp": between(0, 4102444800), "iat": between(0, 4102444800)},
                           ["iss", "exp"])
    yield "web hook", record({"event": choice("push", "pull_request", "issues", "release"), "delivery": form("uuid"), "sent": form("date-time"),
                              "repository": record({"full_name": pattern("^[\\w.-]{1,10}/[\\w.-]{1,10}$"), "private": FLAG}),
                              "commits": listed(record({"id": pattern("^[0-9a-f]{40}$"), "message": short(40)}), high=2)}, ["event", "delivery", "repository"])
    yield "batch", listed(closed({"method": choice("GET", "PUT", "DELETE"), "path": pattern("^/v[12]/[a-z]+(/[0-9]+)?$"), "body": {"type": ["object", "null"], "maxProperties": 0}},
                                 ["method", "path"]), 1, 3)
    tools = {"get_weather": closed({"city": short(20, 1), "unit": choice("C", "F")}, ["city"]), "calculate": closed({"expression": pattern("^[0-9+*() -]{1,16}$")}),
             "set_timer": closed({"minutes": between(1, 600), "label": short(10)}, ["minutes"]), "search_web": closed({"queries": listed(short(20, 1), 1, 3)})}
    yield "calls of tools", listed({"oneOf": [closed({"name": {"const": name}, "arguments": arguments}) for name, arguments in tools.items()]}, 1, 2)
    part = {"oneOf": [closed({"type": {"const": "text"}, "text": TEXT}), closed({"type": {"const": "image_url"}, "image_url": closed({"url": form("uri"), "detail": choice("auto", "low", "high")}, ["url"])}),
                      closed({"type": {"const": "input_audio"}, "data": form("byte"), "format": choice("wav", "mp3")})]}
    yield "messages", listed(closed({"role": choice("system", "user", "assistant"), "content": {"anyOf": [TEXT, listed(part, 1, 2)]}}), 1, 3)


def commerce():
    money = pattern("^(0|[1-9][0-9]{0,6})\\.[0-9]{2}$")
    yield "charge", closed({"id": pattern("^ch_[A-Za-z0-9]{8,16}$"), "amount": between(50, 99999999), "currency": choice("eur", "usd", "jpy", "chf"), "captured": FLAG,
                            "metadata": {"type": "object", "propertyNames": {"maxLength": 10}, "additionalProperties": short(), "maxProperties": 3},
                            "status": choice("succeeded", "pending", "failed"), "failure_code": {"type": ["string", "null"], "maxLength": 8}},
                           ["id", "amount", "currency", "status"], **{"if": {"properties": {"status": {"const": "failed"}}}, "then": {"required": ["failure_code"]}})
    yield "card", closed({"number": pattern("^[0-9]{4}( [0-9]{4}){3}$"), "expires": pattern("^(0[1-9]|1[0-2])/[0-9]{2}$"), "cvc": pattern("^[0-9]{3,4}$")})
    yield "transfer", closed({"iban": pattern("^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$"), "bic": pattern("^[A-Z]{6}[A-Z2-9][A-NP-Z0-9]([A-Z0-9]{3})?$"),
                              "amount": {"type": "number", "exclusiveMinimum": 0, "maximum": 1000000, "multipleOf": 0.01}, "reference": short(35)}, ["iban", "amount"])
    address = record({"country": choice("DE", "US", "GB", "JP"), "city": short(20, 1), "code": TEXT}, ["country", "city", "code"], allOf=[
        {"if": {"properties": {"country": {"const": country}}}, "then": {"properties": {"code": pattern(expression)}}}
        for country, expression in [("DE", "^[0-9]{5}$"), ("US", "^[0-9]{5}(-[0-9]{4})?$"), ("GB", "^[A-Z]{1,2}[0-9][A-Z0-9]? [0-9][A-Z]{2}$"), ("JP", "^[0-9]{3}-[0-9]{4}$")]])
    yield "address", address
    yield "order", closed({"number": pattern("^ORD-[0-9]{6}$"), "lines": listed(closed({"sku": pattern("^[A-Z]{2}[0-9]{4}$"), "quantity": between(1, 99), "price": money}), 1, 3),
                           "shipping": {"anyOf": [choice("pickup"), record({"method": choice("post", "courier"), "cost": money})]}, "paid": FLAG})
    size = choice("XS", "S", "M", "L", "XL")
    yield "product", closed({"title": short(30, 1), "gtin": pattern("^[0-9]{8}([0-9]{4,6})?$"), "price": between(0, 10000, "number", multipleOf=0.01),
                             "variants": listed(closed({"size": size, "colour": pattern("^#[0-9a-f]{6}$"), "stock": between(0, 500)}, ["size"]), high=3),
                             "sizes": listed(size, uniqueItems=True), "weight": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 50}}, ["title", "price"])
    yield "discount", {"oneOf": [closed({"kind": {"const": "percent"}, "value": between(5, 95, multipleOf=5)}), closed({"kind": {"const": "amount"}, "value": between(1, 500)}),
                                 closed({"kind": {"const": "free"}, "product": pattern("^[A-Z]{2}[0-9]{4}$")})]}
    yield "exchange rates", {"type": "object", "propertyNames": pattern("^[A-Z]{3}$"), "additionalProperties": {"type": "number", "exclusiveMinimum": 0, "maximum": 100000}, "minProperties": 1, "maxProperties": 5}
    yield "subscription", closed({"plan": choice("free", "team", "company"), "seats": between(1, 1000), "renews": form("date"), "trial": FLAG}, ["plan"],
                                 dependentRequired={"seats": ["renews"]}, **{"if": {"properties": {"plan": {"const": "free"}}, "required": ["plan"]}, "then": {"not": {"required": ["seats"]}}})


def documents():
    person = {"given": short(12, 1), "family": short(16, 1), "born": form("date")}
    yield "card of a person", record({"name": record(person, ["given", "family"]), "mail": listed(form("email"), 1, 2), "phone": pattern("^\\+[1-9][0-9]{6,14}$"),
                                      "languages": listed(choice("de", "en", "fr", "ja", "ar", "pt"), 1, 4, uniqueItems=True)}, ["name"])
    yield "event", record({"uid": form("uuid"), "start": form("date-time"), "end": {"anyOf": [form("date-time"), form("duration")]}, "days": listed(choice("MO", "TU", "WE", "TH", "FR", "SA", "SU"), uniqueItems=True),
                           "place": {"type": ["string", "null"]}}, ["uid", "start"])
    yield "book", record({"isbn": pattern("^(97[89]-)?[0-9]{1,5}-[0-9]{1,7}-[0-9]{1,6}-[0-9X]$"), "title": short(40, 1), "authors": listed(short(20, 1), 1, 3), "year": between(1450, 2030),
                          "subjects": {"type": "array", "items": short(10), "contains": choice("fiction", "science", "history"), "maxItems": 4}}, ["title", "authors"])
    yield "patient", record({"resourceType": {"const": "Patient"}, "gender": choice("male", "female", "other", "unknown"), "birthDate": pattern("^[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?$"),
                             "identifier": listed(record({"system": form("uri"), "value": short()}), high=2), "deceased": {"anyOf": [FLAG, form("date-time")]}}, ["resourceType"])
    yield "diagnosis", closed({"code": pattern("^[A-TV-Z][0-9][0-9A-B](\\.[0-9A-K]{1,4})?$"), "certainty": choice("G", "V", "Z", "A"), "severity": between(1, 10)}, ["code"])
    yield "recipe", record({"name": short(30, 1), "serves": between(1, 12), "steps": listed(short(60, 3), 1, 4), "minutes": between(5, 480, multipleOf=5),
                            "ingredients": listed({"type": "array", "prefixItems": [{"type": "number", "exclusiveMinimum": 0, "maximum": 5000}, choice("g", "ml", "piece"), short(16, 1)], "items": False, "minItems": 3}, 1, 4)})
    yield "weather", record({"station": pattern("^[A-Z]{4}$"), "celsius": between(-90, 60, "number"), "humidity": between(0, 100), "wind": record({"degrees": between(0, 359), "knots": between(0, 200, "number")}),
                             "sky": choice("CLR", "FEW", "SCT", "BKN", "OVC"), "at": form("time")}, ["station", "celsius"])
    yield "flight", closed({"number": pattern("^[A-Z0-9]{2}[0-9]{1,4}[A-Z]?$"), "from": pattern("^[A-Z]{3}$"), "to": pattern("^[A-Z]{3}$"), "departs": form("date-time"), "stops": listed(pattern("^[A-Z]{3}$"), high=2),
                            "class": choice("economy", "business", "first")}, ["number", "from", "to"])
    yield "quiz", record({"question": short(60, 5), "answers": listed(short(20, 1), 4, 4), "right": between(0, 3), "level": choice("easy", "middle", "hard")})
    yield "labels of a text", closed({"sentiment": choice("positive", "negative", "neutral"), "confidence": between(0, 1, "number"), "topics": listed(choice("sport", "politics", "science", "art"), high=4, uniqueItems=True),
                                      "entities": listed(closed({"text": short(12, 1), "kind": choice("PER", "LOC", "ORG"), "span": {"type": "array", "prefixItems": [between(0, 9999), between(0, 9999)], "items": False, "minItems": 2}}), high=2)})
    yield "boxes in a picture", listed(closed({"label": short(10, 1), "box_2d": listed(between(0, 1000), 4, 4)}), high=3)
    yield "minutes", record({"present": listed(short(12, 1), 1, 4), "decided": listed(record({"what": short(40, 1), "by": form("date"), "who": {"anyOf": [short(12, 1), NULL]}}, ["what"]), high=2), "next": {"anyOf": [form("date-time"), NULL]}})
    yield "measurements", record({"sensor": form("uuid"), "unit": choice("°C", "µg/m³", "Ω", "‰"), "values": listed({"type": ["number", "null"]}, 1, 8)})
    yield "matrix", listed(listed(between(-1, 1, "number"), 3, 3), 3, 3)
    yield "deep lists", listed(listed(listed(listed(between(0, 9), high=2), high=2), high=2), 1, 2)
    ring = listed({"type": "array", "prefixItems": [between(-180, 180, "number"), between(-90, 90, "number")], "items": False, "minItems": 2}, 4, 5)
    yield "feature", record({"type": {"const": "Feature"}, "geometry": {"anyOf": [NULL, record({"type": {"const": "Polygon"}, "coordinates": listed(ring, 1, 1)})]}, "properties": {"type": ["object", "null"], "maxProperties": 2}})
    yield "chess", record({"moves": listed(pattern("^(O-O(-O)?|[KQRBN]?[a-h]?[1-8]?x?[a-h][1-8](=[QRBN])?)[+#]?$"), 1, 6), "result": choice("1-0", "0-1", "1/2-1/2", "*")})
    yield "spans of a trace", listed(closed({"traceId": pattern("^[0-9a-f]{32}$"), "spanId": pattern("^[0-9a-f]{16}$"), "kind": between(0, 5), "status": choice("OK", "ERROR", "UNSET"),
                                             "attributes": {"type": "object", "patternProperties": {"^(http|db)\\.[a-z]+$": {"type": ["string", "integer", "boolean"]}}, "additionalProperties": False, "maxProperties": 2}}, ["traceId", "spanId"]), 1, 2)
    yield "log line", record({"level": choice("debug", "info", "warn", "error"), "time": form("date-time"), "message": TEXT, "error": record({"code": WHOLE, "stack": listed(short(30), high=2)}, ["code"])}, ["level", "time", "message"],
                             **{"if": {"properties": {"level": {"const": "error"}}}, "then": {"required": ["error"]}, "else": {"not": {"required": ["error"]}}})


def settings():
    yield "package", record({"name": pattern("^(@[a-z0-9-]{1,8}/)?[a-z0-9-]{1,12}$"), "version": pattern("^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)(-[0-9a-z.-]+)?$"), "private": FLAG,
                             "dependencies": {"type": "object", "additionalProperties": pattern("^[~^]?[0-9]+\\.[0-9]+\\.[0-9]+$"), "maxProperties": 3},
                             "license": {"anyOf": [choice("MIT", "Apache-2.0", "BSD-3-Clause"), pattern("^SEE LICENSE IN [a-z]+$")]}}, ["name", "version"])
    yield "compiler options", closed({"target": choice("es5", "es2020", "esnext"), "strict": FLAG, "lib": listed(choice("dom", "es2020", "webworker"), uniqueItems=True), "paths": {"type": "object", "additionalProperties": listed(short(), 1, 2), "maxProperties": 2}}, [])
    port = between(1, 65535)
    yield "container", closed({"image": pattern("^[a-z0-9]+(/[a-z0-9]+)?(:[a-z0-9.]+)?$"), "ports": listed({"anyOf": [port, pattern("^[0-9]{2,5}:[0-9]{2,5}$")]}, high=3),
                               "environment": {"oneOf": [{"type": "object", "propertyNames": pattern("^[A-Z_]{1,8}$"), "additionalProperties": {"type": ["string", "number", "null"]}, "maxProperties": 3}, listed(pattern("^[A-Z_]{1,8}=.*$"), high=3)]},
                               "restart": choice("no", "always", "on-failure"), "cpus": {"type": "number", "exclusiveMinimum": 0, "maximum": 64}}, ["image"])
    step = {"oneOf": [closed({"uses": pattern("^[a-z-]+/[a-z-]+@v[0-9]$"), "with": {"type": "object", "additionalProperties": {"type": ["string", "boolean"]}, "maxProperties": 2}}, ["uses"]),
                      closed({"run": short(40, 1), "shell": choice("bash", "sh")}, ["run"])]}
    yield "workflow", closed({"on": {"anyOf": [choice("push", "pull_request"), listed(choice("push", "pull_request", "schedule"), 1, uniqueItems=True)]},
                              "jobs": {"type": "object", "patternProperties": {"^[a-z]{1,8}$": closed({"runs-on": choice("linux", "macos"), "steps": listed(step, 1, 2)})}, "additionalProperties": False, "minProperties": 1, "maxProperties": 2}})
    quantity = pattern("^[0-9]+(\\.[0-9]+)?(m|Mi|Gi)?$")
    yield "pod", record({"apiVersion": {"const": "v1"}, "kind": {"const": "Pod"}, "metadata": record({"name": pattern("^[a-z]([a-z0-9-]{0,20}[a-z0-9])?$"), "labels": {"type": "object", "additionalProperties": short(10), "maxProperties": 2}}, ["name"]),
                         "spec": record({"containers": listed(record({"name": pattern("^[a-z]{1,8}$"), "image": short(20, 1), "resources": closed({"cpu": quantity, "memory": quantity}, [])}, ["name", "image"]), 1, 2)})})
    severity = choice("off", "warn", "error", 0, 1, 2)
    yield "rules of a linter", {"type": "object", "additionalProperties": {"oneOf": [severity, {"type": "array", "prefixItems": [severity], "items": {"type": ["string", "integer"]}, "minItems": 2, "maxItems": 3}]}, "maxProperties": 4}
    yield "network", closed({"address": {"anyOf": [form("ipv4"), form("ipv6")]}, "mac": pattern("^([0-9a-f]{2}:){5}[0-9a-f]{2}$"), "range": pattern("^((25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})\\.){3}[0-9]{1,3}/([12]?[0-9]|3[0-2])$"), "host": form("hostname"), "mtu": between(576, 9000)}, ["address"])
    yield "schedule", closed({"cron": pattern("^(\\*|[0-5]?[0-9])( (\\*|[0-9]{1,2})){4}$"), "zone": choice("Europe/Berlin", "Asia/Tokyo", "America/New_York", "UTC"), "after": form("duration"), "jitter": between(0, 1, "number", multipleOf=0.05)}, ["cron"])
    yield "feature flags", {"type": "object", "patternProperties": {"^[a-z]+(-[a-z]+)*$": {"anyOf": [FLAG, closed({"percent": between(0, 100, "number"), "groups": listed(short(8, 1), high=2)}, ["percent"])]}}, "additionalProperties": False, "minProperties": 1, "maxProperties": 4}
    yield "colours", record({"hex": pattern("^#([0-9a-fA-F]{3}){1,2}$"), "rgb": listed(between(0, 255), 3, 3), "hsl": {"type": "array", "prefixItems": [between(0, 360), between(0, 1, "number"), between(0, 1, "number")], "items": False, "minItems": 3}, "alpha": between(0, 1, "number", multipleOf=0.1)}, [])
    yield "server", closed({"listen": {"anyOf": [port, pattern("^unix:/[a-z/]+$")]}, "tls": {"anyOf": [{"const": False}, closed({"certificate": short(20, 1), "key": short(20, 1)})]}, "timeouts": closed({"read": between(1, 300), "idle": between(1, 3600)}, [], minProperties=1)}, ["listen"])
    yield "keys of a keyboard", {"type": "object", "propertyNames": pattern("^(ctrl|alt|shift)(\\+(ctrl|alt|shift))?\\+[a-z0-9]$"), "additionalProperties": {"anyOf": [short(12, 1), NULL]}, "maxProperties": 3}
    shard = {"from": between(0, 15), "to": between(0, 15)}
    yield "shards", {"type": "array", "prefixItems": [record(shard)], "items": {"allOf": [record(shard), {"properties": {"name": choice("a", "b")}, "required": ["name"]}]}, "minItems": 1, "maxItems": 4}


def trees():
    yield "thread", rooted("comment", comment=closed({"author": short(10, 1), "text": short(40), "likes": between(0, 10**6), "replies": listed(named("comment"), high=3)}, ["author", "text"]))
    yield "files", rooted("entry", entry={"oneOf": [closed({"name": pattern("^[^/]{1,12}$"), "bytes": between(0, 2**40)}), closed({"name": pattern("^[^/]{1,12}$"), "entries": listed(named("entry"), high=2)})]})
    yield "binary tree", rooted("tree", tree={"anyOf": [NULL, closed({"key": WHOLE, "left": named("tree"), "right": named("tree")})]})
    yield "layout", rooted("view", view={"oneOf": [closed({"type": {"const": "text"}, "value": short(20)}), closed({"type": {"const": "image"}, "source": form("uri-reference"), "alt": short(10)}, ["type", "source"]),
                                                   closed({"type": choice("row", "column"), "gap": between(0, 64), "children": listed(named("view"), high=3)}, ["type", "children"])]})
    attributes = {"type": "object", "patternProperties": {"^data-[a-z]+$": TEXT}, "properties": {"id": pattern("^[a-z][a-z0-9]*$"), "class": listed(pattern("^[a-z-]+$"), high=2)}, "additionalProperties": False, "maxProperties": 2}
    yield "markup", rooted("node", node={"anyOf": [short(20, 1), {"type": "array", "prefixItems": [choice("p", "b", "ul", "li"), attributes], "items": named("node"), "minItems": 2, "maxItems": 4}]})
    yield "symbols", rooted("s", s={"anyOf": [NUMBER, pattern("^[a-z+*/?-]{1,6}$"), listed(named("s"), 1, 3)]})
    yield "values", rooted("value", value={"anyOf": [NULL, FLAG, NUMBER, TEXT, listed(named("value"), high=2), {"type": "object", "additionalProperties": named("value"), "maxProperties": 2}]})
    simple = choice("string", "number", "boolean")
    yield "schema of a schema", rooted("schema", schema={"anyOf": [FLAG, closed({"type": {"anyOf": [simple, listed(simple, 1, uniqueItems=True)]}, "minimum": NUMBER, "required": listed(short(6, 1), high=2)}, []),
                                                                  closed({"type": {"const": "array"}, "items": named("schema")}),
                                                                  closed({"type": {"const": "object"}, "properties": {"type": "object", "additionalProperties": named("schema"), "maxProperties": 2}})]})
    yield "condition", rooted("c", c={"oneOf": [closed({"not": named("c")}), closed({"all": listed(named("c"), 1, 2)}), closed({"field": choice("age", "city"), "is": {"type": ["integer", "string"]}})]})
    statement = {"oneOf": [closed({"let": pattern("^[a-z]$"), "be": named("expression")}), closed({"while": named("expression"), "do": listed(named("statement"), high=2)}), closed({"print": named("expression")})]}
    expression = {"oneOf": [WHOLE, pattern("^[a-z]$"), {"type": "array", "prefixItems": [choice("+", "<", "="), named("expression"), named("expression")], "items": False, "minItems": 3}]}
    yield "program", {"type": "array", "items": named("statement"), "minItems": 1, "maxItems": 3, "$defs": {"statement": statement, "expression": expression}}
    yield "states", closed({"initial": pattern("^[a-z]{1,6}$"), "states": {"type": "object", "propertyNames": pattern("^[a-z]{1,6}$"), "additionalProperties": named("state"), "minProperties": 1, "maxProperties": 3}},
                           **{"$defs": {"state": closed({"on": {"type": "object", "propertyNames": pattern("^[A-Z]{1,6}$"), "additionalProperties": pattern("^[a-z]{1,6}$"), "maxProperties": 2}, "states": {"type": "object", "additionalProperties": named("state"), "maxProperties": 1},
                                                                "type": choice("final", "parallel")}, [])}})
    yield "organisation", rooted("unit", unit=record({"name": short(12, 1), "head": {"anyOf": [named("person"), NULL]}, "units": listed(named("unit"), high=2)}, ["name"], additionalProperties=False),
                                 person=closed({"name": short(12, 1), "reports": listed(named("person"), high=1)}, ["name"]))
    yield "family", rooted("person", person=closed({"name": short(8, 1), "mother": named("person"), "father": named("person")}, ["name"]))
    yield "nested by anchor", {"$id": "https://example.org/tree", "type": "object", "properties": {"leaf": {"$ref": "#leaf"}, "tree": {"$ref": "https://example.org/tree"}}, "minProperties": 1, "additionalProperties": False,
                               "$defs": {"leaf": {"$anchor": "leaf", "type": ["integer", "null"]}}}


def unions():
    animals = {"cat": {"lives": between(1, 9)}, "dog": {"tricks": listed(short(8, 1), high=2)}, "fish": {"salt": FLAG}, "bird": {"span": between(0, 4, "number")}, "ant": {"caste": choice("queen", "worker")}}
    yield "animals", {"oneOf": [closed({"kind": {"const": kind}, **more}) for kind, more in animals.items()]}
    yield "animals, open", {"anyOf": [record({"kind": {"const": kind}, **more}) for kind, more in animals.items()]}
    yield "twelve events", {"oneOf": [closed({"type": {"const": f"event.{name}"}, "seq": between(0, 10**6), name: payload}) for name, payload in zip("abcdefghijkl", [TEXT, WHOLE, FLAG, NULL, NUMBER, listed(WHOLE, high=2)] * 2)]}
    yield "number or text of a number", {"anyOf": [NUMBER, pattern("^-?[0-9]+(\\.[0-9]+)?$")]}
    yield "one or many", {"oneOf": [short(10, 1), listed(short(10, 1), 2, 4)]}
    yield "overlapping", {"oneOf": [{"type": "integer", "multipleOf": 4}, {"type": "integer", "multipleOf": 6}, {"type": "string", "maxLength": 5}, {"type": "string", "minLength": 4, "maxLength": 9}]}
    yield "at least two of three", record({"a": WHOLE, "b": FLAG, "c": short(5)}, [], additionalProperties=False, anyOf=[{"required": ["a", "b"]}, {"required": ["b", "c"]}, {"required": ["a", "c"]}])
    yield "exactly one", closed({"mail": form("email"), "phone": pattern("^[0-9]{5,9}$"), "post": short(20, 1)}, [], oneOf=[{"required": ["mail"]}, {"required": ["phone"]}, {"required": ["post"]}])
    yield "layers", {"allOf": [record({"id": WHOLE}), record({"name": short(10)}), {"anyOf": [record({"x": NUMBER}), record({"y": NUMBER})]}, {"properties": {"id": {"minimum": 10}}}]}
    yield "if, then if", record({"mode": choice("a", "b"), "level": between(1, 3), "note": TEXT}, ["mode", "level"], additionalProperties=False, **{
        "if": {"properties": {"mode": {"const": "a"}}}, "then": {"if": {"properties": {"level": {"const": 3}}}, "then": {"required": ["note"], "properties": {"note": {"minLength": 3, "maxLength": 9}}}}, "else": {"properties": {"level": {"maximum": 2}}}})
    yield "nothing but", {"not": {"anyOf": [{"type": ["object", "array", "string"]}, {"type": "number", "minimum": 100}]}}
    yield "text without", {"type": "string", "maxLength": 12, "not": {"anyOf": [{"pattern": "[aeiou]"}, {"const": ""}, {"pattern": "^[0-9]"}]}}
    yield "nullable everything", record({name: {"anyOf": [schema, NULL]} for name, schema in [("text", short(8)), ("number", NUMBER), ("list", listed(WHOLE, high=2)), ("record", closed({"x": WHOLE}))]})
    yield "dependencies", closed({"start": form("date"), "end": form("date"), "repeat": choice("day", "week"), "count": between(1, 30)}, [], dependentRequired={"end": ["start"], "repeat": ["start", "count"]},
                                 dependentSchemas={"repeat": {"properties": {"count": {"minimum": 2}}}})
    yield "two to three of five", closed({name: between(0, 9) for name in "vwxyz"}, [], minProperties=2, maxProperties=3)


def unicode():
    yield "keys of many scripts", record({"名前": short(6, 1), "возраст": between(0, 120), "شهر": choice("يناير", "فبراير"), "π": {"const": 3.14159}, "e\u0301": FLAG, "👩‍🔬": choice("🧪", "🔭"), "": NULL}, ["名前", "👩‍🔬", ""])
    yield "values of many scripts", listed(choice("straße", "Ελλάδα", "हिन्दी", "ไทย", "한국어", "🇩🇪", "a\u0300", "\u00e0", "𝔘𝔫𝔦", "\u2028", "tab\t", "quote\"", "back\\slash", "\u007f", "nul\u0000"), 1, 4, uniqueItems=True)
    yield "scripts", listed({"anyOf": [pattern("^[\\u3040-\\u309f]{1,6}$"), pattern("^\\p{Lu}\\p{Ll}{1,5}$"), pattern("^[\\u{1F600}-\\u{1F64F}]{1,3}$"), pattern("^[\\u0627-\\u064a]+$")]}, 1, 3)
    yield "lengths in characters", {"type": "object", "properties": {"one": {"type": "string", "minLength": 1, "maxLength": 1}, "three": {"type": "string", "minLength": 3, "maxLength": 3}}, "required": ["one", "three"]}
    yield "not ASCII", pattern("^[^\\u0000-\\u007f]{1,8}$")
    yield "translations", {"type": "object", "patternProperties": {"^[a-z]{2}(-[A-Z]{2})?$": short(12, 1)}, "additionalProperties": False, "minProperties": 1, "maxProperties": 3}
    yield "keys that begin alike", closed({"a": NULL, "a\u0301": NULL, "á": NULL, "ab": NULL, "a\"": NULL, "a\\": NULL, "a/": NULL}, [], minProperties=1)
    yield "escapes", listed(pattern("^[\"\\\\/\\n\\t\\r\\f]{1,4}$"), 1, 3)


def enumerations():
    yield "enum of 2000", closed({"id": {"enum": [f"{n * 7919 % 10007:05}" for n in range(2000)]}})
    yield "enum of 2000 phrases", {"enum": [f"{a} {b} {n}" for n, (a, b) in enumerate((a, b) for a in ["red", "green", "blue", "näive", "黒い"] for b in ["cat", "dog", "house", "tree"] * 100)]}
    yield "enum of 1000 numbers", {"enum": [n * n for n in range(500)] + [n / 8 for n in range(1, 1000, 2)]}
    yield "languages", listed({"enum": "aa ab af ak am ar as ay az ba be bg bn bo br bs ca ce co cs cy da de dz ee el en eo es et eu fa fi fj fr fy ga gd gl gu ha he hi hr ht hu hy id ig is it ja jv ka kk km ko ku".split()}, 1, 5)
    yield "mixed values", {"enum": [None, True, False, 0, -1, 1.5, 1e21, "", "null", "true", [], {}, [1, [2, "x"]], {"a": {"b": [None]}}, {"a": 1, "b": 2}]}
    yield "enum with more", {"enum": [1, 2, 3, "one", "two", "three", None], "type": ["integer", "string"], "not": {"enum": [2, "two"]}}
    yield "records as enum", {"enum": [{"x": x, "y": y} for x in range(8) for y in range(8)]}
    yield "months and days", closed({"month": choice(*"January February March April May June July August September October November December".split()), "day": between(1, 31)})


def numbers():
    yield "prices", listed(between(0, 9999.99, "number", multipleOf=0.01), 1, 3)
    yield "narrow", record({"a": between(0.1, 0.2, "number"), "b": between(-0.001, 0.001, "number"), "c": between(1e9, 1e9 + 5), "d": {"type": "number", "exclusiveMinimum": 3, "exclusiveMaximum": 3.5}})
    yield "quarters", listed(between(-2, 2, "number", multipleOf=0.25), 1, 6)
    yield "odd numbers", {"type": "integer", "not": {"multipleOf": 2}, "minimum": -99, "maximum": 999}
    yield "thirds and fifths", {"type": "integer", "allOf": [{"multipleOf": 3}, {"multipleOf": 5}], "minimum": 0}
    yield "integers of 32 and 64 bits", record({"small": {"type": "integer", "format": "int32"}, "large": {"type": "integer", "format": "int64"}})
    yield "gaps", {"type": "integer", "anyOf": [{"maximum": -100}, between(-3, 3), {"minimum": 100}], "minimum": -5000, "maximum": 5000}
    yield "tiny and huge", listed({"anyOf": [{"type": "number", "minimum": 1e12}, {"type": "number", "maximum": -1e12}, between(-1e-6, 1e-6, "number")]}, 1, 3)


def arrays():
    yield "row of a table", {"type": "array", "prefixItems": [form("date"), choice("buy", "sell"), NUMBER, {"type": ["string", "null"]}], "items": FLAG, "minItems": 3, "maxItems": 6}
    yield "two zeros", {"type": "array", "items": between(0, 2), "contains": {"const": 0}, "minContains": 2, "maxContains": 2, "maxItems": 5}
    yield "set of flags", {"type": "array", "items": {"type": ["boolean", "null"]}, "uniqueItems": True, "minItems": 2}
    yield "permutation", {"type": "array", "items": between(1, 5), "uniqueItems": True, "minItems": 5, "maxItems": 5}
    yield "pairs", listed({"type": "array", "prefixItems": [pattern("^[a-z]{1,4}$"), {"type": ["number", "boolean"]}], "items": False, "minItems": 2}, high=4)
    yield "no element of a kind", {"type": "array", "items": {"type": ["integer", "string"], "maxLength": 4}, "not": {"contains": {"const": 7}}, "maxItems": 4}
    yield "table", listed(listed({"type": ["integer", "null"]}, 2, 2), 1, 4)
    yield "two kinds of lists", {"type": "array", "oneOf": [{"items": WHOLE, "minItems": 1}, {"items": short(4), "minItems": 1}], "maxItems": 4}


def formats():
    for name in ["date", "time", "date-time", "duration", "uuid", "email", "hostname", "ipv4", "ipv6", "uri", "uri-reference", "json-pointer", "relative-json-pointer"]:
        yield f"list of {name}", listed(form(name), 1, 2)
    yield "uri of one host", {"type": "string", "format": "uri", "pattern": "^https://example\\.org/", "maxLength": 40}
    yield "date of a year", {"type": "string", "format": "date", "pattern": "^2024-"}
    yield "short mail", {"type": "string", "format": "email", "maxLength": 20}
    yield "no date", {"type": "string", "not": {"format": "date"}, "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}


def unevaluated():
    base, sealed = record({"id": between(1, 99), "kind": choice("a", "b")}, ["id"]), {"unevaluatedProperties": False}
    yield "record that extends another", {"allOf": [named("base")], **record({"name": short(8)}), **sealed, "$defs": {"base": base}}
    yield "record of two parts", {"allOf": [named("base"), record({"from": form("date"), "to": form("date")}, ["from"])], **sealed, "$defs": {"base": base}}
    yield "record with one of three more", {**base, "oneOf": [record({"text": short(6)}), record({"number": WHOLE}), record({"flag": FLAG})], **sealed}
    yield "record with some of three more", {**base, "anyOf": [record({"text": short(6)}), record({"number": WHOLE}), record({"flag": FLAG})], **sealed}
    yield "record whose kind says more", {**record({"kind": choice("a", "b")}), "if": {"properties": {"kind": {"const": "a"}}}, "then": record({"a": WHOLE}), "else": record({"b": TEXT}), **sealed}
    yield "record whose other values are numbers", {"properties": {"name": short(8)}, "type": "object", "patternProperties": {"^is_": FLAG}, "unevaluatedProperties": NUMBER, "maxProperties": 4}
    yield "record with what a key brings", {**record({"card": short(4)}, []), "dependentSchemas": {"card": record({"holder": short(8)})}, **sealed}
    yield "tree that is extended", rooted("leafy", node=record({"value": WHOLE, "children": listed(named("leafy"), high=2)}, ["value"]), leafy={"$ref": "#/$defs/node", "properties": {"leaf": FLAG}, **sealed})
    yield "tuple that extends another", {"type": "array", "minItems": 2, "allOf": [{"prefixItems": [WHOLE]}, {"prefixItems": [True, TEXT]}], "unevaluatedItems": False}
    yield "list whose others are flags", {"type": "array", "maxItems": 5, "prefixItems": [TEXT], "contains": NULL, "unevaluatedItems": FLAG}


def schemas():
    for group in [requests, commerce, documents, settings, trees, unions, unicode, enumerations, numbers, arrays, formats, unevaluated]:
        yield from group()
