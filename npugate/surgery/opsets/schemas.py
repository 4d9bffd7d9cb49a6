"""What changed in an operator between two versions of ai.onnx, read from onnx's own schemas."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

import onnx
from onnx import AttributeProto, NodeProto, helper
from onnx.defs import OpSchema

OLDEST: Final = 7
NEWEST: Final = 21  # that a model is converted to
NEWEST_READ: Final = onnx.defs.onnx_opset_version()  # from here up to it, only types were added
Types = tuple[frozenset[str], ...]
# The same node is valid on both sides of these versions, and means something else.
CHANGED: Final = frozenset(
    {
        ("Softmax", 13),
        ("LogSoftmax", 13),
        ("Hardmax", 13),
        ("Resize", 11),
        ("BatchNormalization", 9),
        ("BatchNormalization", 14),
        ("Dropout", 10),
        ("RoiAlign", 16),
        ("GroupNormalization", 21),
        ("Scan", 9),
        ("GridSample", 20),
    }
)


@cache
def schemas(op_type: str) -> Mapping[int, OpSchema]:
    """Return the schemas of an operator of ai.onnx by the version they came with."""
    found = {
        schema.since_version: schema
        for schema in onnx.defs.get_all_schemas_with_history()
        if schema.name == op_type and not schema.domain
    }
    return dict(sorted(found.items()))


@cache
def since(op_type: str, version: int) -> int | None:
    """Return the version that last changed an operator; None when it does not exist or is gone."""
    known = schemas(op_type)
    found = [item for item in known if item <= version]
    if not found or (found[-1] == max(known) and known[found[-1]].deprecated):
        return None
    return found[-1]


@cache
def accepted(op_type: str, version: int) -> tuple[Types, Types]:
    """Return the types that each input and each output of an operator may have."""
    schema = onnx.defs.get_schema(op_type, version)
    return (
        tuple(frozenset(item.types) for item in schema.inputs),
        tuple(frozenset(item.types) for item in schema.outputs),
    )


@cache
def crossings(op_type: str, low: int, high: int) -> tuple[int, ...]:
    """Return the versions above ``low``, up to ``high``, that changed an operator."""
    return tuple(version for version in schemas(op_type) if low < version <= high)


def before(op_type: str, version: int) -> OpSchema:
    """Return the schema that a version replaced."""
    older = [item for item in schemas(op_type) if item < version]
    return schemas(op_type)[older[-1]]


def forward_fault(op_type: str, version: int, node: NodeProto) -> str:
    """Say why a node cannot be read by the newer of two schemas as it is; empty when it can."""
    old, new = before(op_type, version), schemas(op_type)[version]
    gone = [item.name for item in node.attribute if item.name not in new.attributes]
    if gone:
        return f"attribute {gone[0]!r} is gone from opset {version} on"
    if new.deprecated or len(node.input) < new.min_input or len(node.output) < new.min_output:
        return f"opset {version} has another form of it"
    given = {item.name for item in node.attribute}
    for name, item in old.attributes.items():
        if name not in given and name in new.attributes:
            mine, other = _default(item), _default(new.attributes[name])
            if mine != other:
                return f"opset {version} has another default of {name!r}"
    return ""


def downgrade(op_type: str, version: int, node: NodeProto) -> str:
    """Drop attributes that an older schema lacks and whose value is neutral.

    Returns:
        Why the older schema cannot read the node; empty when it can.
    """
    old, new = before(op_type, version), schemas(op_type)[version]
    for index in reversed(range(len(node.attribute))):
        item = node.attribute[index]
        if item.name in old.attributes:
            continue
        if not _is_neutral(item, new):
            return f"attribute {item.name!r} has no form before opset {version}"
        del node.attribute[index]
    while len(node.input) > old.max_input and not node.input[-1]:
        node.input.pop()
    if len(node.input) > old.max_input or len(node.output) > old.max_output:
        return f"it has more inputs or outputs than before opset {version}"
    given = {item.name for item in node.attribute}
    for name, declared in old.attributes.items():
        if name not in given and name in new.attributes:
            if _default(declared) != _default(new.attributes[name]):
                return f"opset {version} has another default of {name!r}"
        elif name not in given and declared.required:
            return f"attribute {name!r} is required before opset {version}"
    return ""


def _default(attribute: OpSchema.Attribute) -> bytes:
    value = attribute.default_value
    copy = AttributeProto()
    copy.CopyFrom(value)
    copy.ClearField("name")
    copy.ClearField("doc_string")
    return bytes(copy.SerializeToString(deterministic=True))


def _is_neutral(item: AttributeProto, schema: OpSchema) -> bool:
    if item.name == "dilations":  # no default in the schema: ones mean none
        return all(number == 1 for number in item.ints)
    default = schema.attributes[item.name].default_value if item.name in schema.attributes else None
    if default is None or not default.type:
        return False
    return bool(helper.get_attribute_value(item) == helper.get_attribute_value(default))
