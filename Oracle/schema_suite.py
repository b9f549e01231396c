"""Restates the JSON Schema test suite (draft 2020-12) as Tests/Fixtures/constraints/suite.json: every group's schema with its instances and
whether each is valid.

    git clone https://github.com/json-schema-org/JSON-Schema-Test-Suite
    python Oracle/schema_suite.py JSON-Schema-Test-Suite

The suite is Copyright (c) 2012 Julian Berman and under the MIT licence, whose text goes into the fixture with it.
"""

import argparse
import json
from pathlib import Path

FIXTURE = Path(__file__).parent.parent / "Tests/Fixtures/constraints/suite.json"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("suite", type=Path, help="a checkout of JSON-Schema-Test-Suite")
    options = arguments.parse_args()

    root = options.suite / "tests/draft2020-12"
    groups = []
    for path in [*sorted(root.glob("*.json")), *sorted(root.glob("optional/*.json")), *sorted(root.glob("optional/format/*.json"))]:
        for group in json.loads(path.read_text()):
            tests = [[test["valid"], test["data"]] for test in group["tests"]]
            groups.append({"file": path.relative_to(root).with_suffix("").as_posix(), "description": group["description"],
                           "schema": group["schema"], "tests": tests})
    FIXTURE.parent.mkdir(parents=True, exist_ok=True)
    head = {"source": "https://github.com/json-schema-org/JSON-Schema-Test-Suite, tests/draft2020-12, by Oracle/schema_suite.py",
            "licence": (options.suite / "LICENSE").read_text()}
    lines = ",\n".join(json.dumps(group, separators=(",", ":")) for group in groups)
    FIXTURE.write_text(json.dumps(head)[:-1] + ',"groups":[\n' + lines + "\n]}\n")
    print(f"{len(groups)} groups, {FIXTURE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
