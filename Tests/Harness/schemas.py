"""Checks of values against the schemas of Fixtures/network-boot, whose README tells what they may say."""

import json
import re

from paths import FIXTURES

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}


def objections(name: str, value) -> "list[str]":
    """What of a value is not as the schema of that name wants it, a line each."""
    return _check(json.loads((FIXTURES / f"network-boot/{name}.json").read_text()), value, "$")


def _check(schema: dict, value, place: str) -> "list[str]":
    if not schema:
        return []
    kind = TYPES[schema["type"]]
    # To Python, true is a number.
    if not isinstance(value, kind) or kind is int and isinstance(value, bool):
        return [f"{place} is {value!r}, no {schema['type']}"]
    if "const" in schema and value != schema["const"]:
        return [f"{place} is {value!r}, not {schema['const']!r}"]
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return [f"{place} is {value!r}, which does not match {schema['pattern']}"]
    found = []
    if kind is list:
        for index, entry in enumerate(value):
            found += _check(schema["items"], entry, f"{place}[{index}]")
    if kind is dict:
        known, more = schema.get("properties", {}), schema.get("additionalProperties")
        found += [f"{place} lacks {name}" for name in schema.get("required", []) if name not in value]
        for name, entry in value.items():
            if name not in known and more is None:
                found.append(f"{place} has {name}, which nobody reads")
            else:
                found += _check(known.get(name, more or {}), entry, f"{place}.{name}")
    return found
