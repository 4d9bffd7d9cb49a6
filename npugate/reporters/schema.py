"""Hold a JSON value to a JSON Schema: the part of draft 2020-12 that ours is written in.

The step that comments on pull requests reads a report that a container wrote which had untrusted
models in it, so the report is checked before it is used. A keyword that is not known here raises:
what is not understood must not pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, cast

_SAYS_NOTHING: Final = frozenset({"$schema", "$id", "$defs", "title", "description"})
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}

Schema = Mapping[str, object]


class SchemaError(ValueError):
    """The schema itself uses what is not understood here."""


def faults(value: object, schema: Schema) -> Iterator[str]:
    """Yield what is wrong with a value, each with its place; nothing when it is as it should be.

    Args:
        value: as ``json.loads`` returns it.
        schema: the root, which references start from.

    Raises:
        SchemaError: an unknown keyword.
    """
    yield from _check(value, schema, schema, "report")


def _check(value: object, schema: Schema, root: Schema, place: str) -> Iterator[str]:
    for keyword, wanted in schema.items():
        if keyword in _SAYS_NOTHING:
            continue
        check = _KEYWORDS.get(keyword)
        if check is None:
            raise SchemaError(f"the keyword {keyword!r} is not understood")
        yield from check(value, wanted, _Context(schema, root, place))


class _Context:
    """Where a keyword stands."""

    def __init__(self, schema: Schema, root: Schema, place: str) -> None:
        self.schema, self.root, self.place = schema, root, place

    def inner(self, value: object, schema: object, key: str) -> Iterator[str]:
        return _check(value, cast("Schema", schema), self.root, f"{self.place}{key}")


Check = Callable[[object, object, _Context], Iterator[str]]


def _type(value: object, wanted: object, at: _Context) -> Iterator[str]:
    names = [wanted] if isinstance(wanted, str) else cast("list[str]", wanted)
    for name in names:
        # bool is an int in Python and no number in JSON.
        if isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool)):
            return
    yield f"{at.place} is no {' or '.join(names)}"


def _const(value: object, wanted: object, at: _Context) -> Iterator[str]:
    yield from _enum(value, [wanted], at)


def _enum(value: object, wanted: object, at: _Context) -> Iterator[str]:
    choices = cast("list[object]", wanted)
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        yield f"{at.place} is none of {choices}"


def _required(value: object, wanted: object, at: _Context) -> Iterator[str]:
    if isinstance(value, dict):
        missing = [key for key in cast("list[str]", wanted) if key not in value]
        yield from (f"{at.place} has no {key!r}" for key in missing)


def _properties(value: object, wanted: object, at: _Context) -> Iterator[str]:
    if isinstance(value, dict):
        for key, schema in cast("dict[str, object]", wanted).items():
            if key in value:
                yield from at.inner(value[key], schema, f".{key}")


def _additional(value: object, wanted: object, at: _Context) -> Iterator[str]:
    if isinstance(value, dict):
        known = cast("Schema", at.schema.get("properties", {}))
        for key in value.keys() - known.keys():
            yield from at.inner(value[key], wanted, f"[{key!r}]")


def _property_names(value: object, wanted: object, at: _Context) -> Iterator[str]:
    if isinstance(value, dict):
        for key in value:
            yield from at.inner(key, wanted, f" has the key {key!r} that")


def _items(value: object, wanted: object, at: _Context) -> Iterator[str]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from at.inner(item, wanted, f"[{number}]")


def _reference(value: object, wanted: object, at: _Context) -> Iterator[str]:
    found: object = at.root
    for part in cast("str", wanted).removeprefix("#/").split("/"):
        found = cast("Schema", found)[part]
    yield from at.inner(value, found, "")


def _one_of(value: object, wanted: object, at: _Context) -> Iterator[str]:
    rows = [list(at.inner(value, schema, "")) for schema in cast("list[object]", wanted)]
    if sum(not row for row in rows) != 1:
        reasons = "; ".join(row[0] for row in rows if row) or "more than one fits"
        yield f"{at.place} is not what it can be: {reasons}"


def _pattern(value: object, wanted: object, at: _Context) -> Iterator[str]:
    if isinstance(value, str) and not re.search(cast("str", wanted), value):
        yield f"{at.place} does not look like {wanted}"


def _minimum(value: object, wanted: object, at: _Context) -> Iterator[str]:
    # NaN, which json.loads takes, is not below anything.
    if isinstance(value, int | float) and not value >= cast("float", wanted):
        yield f"{at.place} is below {wanted}"


def _min_length(value: object, wanted: object, at: _Context) -> Iterator[str]:
    if isinstance(value, str) and len(value) < cast("int", wanted):
        yield f"{at.place} is shorter than {wanted}"


def _min_items(value: object, wanted: object, at: _Context) -> Iterator[str]:
    if isinstance(value, list) and len(value) < cast("int", wanted):
        yield f"{at.place} has fewer than {wanted} items"


def _max_items(value: object, wanted: object, at: _Context) -> Iterator[str]:
    if isinstance(value, list) and len(value) > cast("int", wanted):
        yield f"{at.place} has more than {wanted} items"


_KEYWORDS: Final[Mapping[str, Check]] = {
    "type": _type,
    "const": _const,
    "enum": _enum,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _property_names,
    "items": _items,
    "$ref": _reference,
    "oneOf": _one_of,
    "pattern": _pattern,
    "minimum": _minimum,
    "minLength": _min_length,
    "minItems": _min_items,
    "maxItems": _max_items,
}
