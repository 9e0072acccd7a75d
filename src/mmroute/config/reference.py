"""What a configuration can hold: as JSON schema for editors, in Markdown for readers."""

import json
import re
import sys
from collections.abc import Collection, Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from mmroute.catalogue import catalogue
from mmroute.config import TRUNK, Config

_BOUNDS = {
    "minimum": "at least {:,g}",
    "exclusiveMinimum": "above {:,g}",
    "maximum": "at most {:,g}",
    "exclusiveMaximum": "below {:,g}",
}
_WIDTH = 100


class _Untitled(GenerateJsonSchema):
    """Leaves out the titles of keys, which repeat them."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema() -> dict[str, Any]:
    """The JSON schema of a configuration file."""
    written = Config.model_json_schema(schema_generator=_Untitled)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **written}


def reference() -> str:
    """Every key of a configuration with its type, default and meaning, in Markdown."""
    written = schema()
    classes: dict[str, Any] = written["$defs"]
    keys: dict[str, Any] = {}
    for key, field in written["properties"].items():
        inner = classes.get(_target(field), {}).get("properties")
        keys |= {f"{key}.{below}": value for below, value in (inner or {}).items()} or {key: field}
    sections = ["## Keys", _table(keys, written["required"])]
    for title, room in (
        ("Sources", "sources"),
        ("Encoders", "encoders"),
        ("Fusions", "features"),
        ("Routers", "routers"),
        ("Experiments", "experiments"),
    ):
        sections.append(f"## {title}")
        for name, entry in catalogue(room).items():
            text, *_ = re.split(r"\n\n\w+\n-+\n", entry.docstrings[0])
            sections += [f"### `{name}`", text.replace("``", "`")]
            own = classes[f"{room}_{name}"]
            told = {key: field for key, field in own["properties"].items() if "const" not in field}
            sections += [_table(told, own.get("required", []))] if told else []
    return "\n\n".join(sections) + "\n"


def _table(fields: Mapping[str, Mapping[str, Any]], required: Collection[str]) -> str:
    lines = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for key, field in fields.items():
        default = "required" if key in required else f"`{json.dumps(field.get('default'))}`"
        meaning = " ".join(field.get("description", "").replace("``", "`").split())
        cells = [cell.replace("|", r"\|") for cell in (f"`{key}`", _type(field), default, meaning)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _target(field: Mapping[str, Any]) -> str:
    return str(field.get("$ref", "")).split("/")[-1]


def _type(field: Mapping[str, Any]) -> str:
    """The type of a field in words."""
    match field:
        case {"anyOf": parts}:
            return " or ".join(map(_type, parts))
        case {"$ref": _}:
            room = _target(field).lower()
            if room == "prices":
                return "[prices](sources.md#a-table)"
            return f"[{room}](#{room}s)"
        case {"enum": values}:
            return " or ".join(f"`{value}`" for value in values)
        case {"const": value}:
            return f"`{value}`"
        case {"type": "array", "items": items}:
            return f"{'non-empty ' if field.get('minItems') else ''}list: {_type(items)}"
        case {
            "type": "object",
            "additionalProperties": {"required": _} | {"anyOf": [{"required": _}, *_]},
            "properties": rows,
        }:
            room = "experiments" if TRUNK in rows else "routers"
            return f"mapping of names to [{room}](#{room})"
        case {"type": "object", "additionalProperties": dict() as values}:
            return f"mapping: {_type(values)}"
    bounds = [words.format(field[name]) for name, words in _BOUNDS.items() if name in field]
    return ", ".join([field["type"], *bounds])


def _laid_out(value: Any, indent: str = "") -> str:
    """JSON with each value in one line if it fits."""
    line = json.dumps(value)
    if len(indent + line) < _WIDTH or not isinstance(value, dict | list):
        return line
    deeper = f"{indent}  "
    inside = (
        [f"{json.dumps(key)}: {_laid_out(below, deeper)}" for key, below in value.items()]
        if isinstance(value, dict)
        else [_laid_out(below, deeper) for below in value]
    )
    return f"{line[0]}\n{deeper}" + f",\n{deeper}".join(inside) + f"\n{indent}{line[-1]}"


def main() -> None:
    """Write the schema to standard output, or with ``--reference`` the Markdown."""
    sys.stdout.write(reference() if "--reference" in sys.argv else _laid_out(schema()) + "\n")
