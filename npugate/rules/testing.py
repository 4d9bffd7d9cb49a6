"""The harness that the bundled rules and a user's own share: build models from text, run a rule.

A model is written in the ONNX text form; a parameter that is declared without data is filled from
a fixed seed, so that an example with a convolution is three lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from msgspec.structs import replace
from onnx import ModelProto, TensorProto, ValueInfoProto

from npugate.errors import ModelError
from npugate.facts import Array, Facts
from npugate.findings.values import Hit, Location
from npugate.limits import Limits
from npugate.model.reader import load
from npugate.model.tracked import Tracked
from npugate.rules.values import Example, Rule
from npugate.target import boards, profiles
from npugate.target.values import Target
from npugate.units import parse_budget

_SEED: Final = 20_250_101
_LOW_BITS: Final[Mapping[int, tuple[int, int]]] = {
    TensorProto.INT4: (-8, 8),
    TensorProto.UINT4: (0, 16),
}


def model_from_text(text: str) -> ModelProto:
    """Parse ONNX text; values that are declared but neither given nor made become weights.

    Raises:
        onnx.parser.ParseError: the text is no ONNX text.
    """
    model = onnx.parser.parse_model(text)
    graph = model.graph
    made = {name for node in graph.node for name in node.output}
    rng = np.random.default_rng(_SEED)
    kept: list[ValueInfoProto] = []
    for info in graph.value_info:
        if info.name in made:
            kept.append(ValueInfoProto.FromString(info.SerializeToString()))
        else:
            graph.initializer.append(_filled(info, rng))
    del graph.value_info[:]
    graph.value_info.extend(kept)
    return model


def _filled(info: ValueInfoProto, rng: np.random.Generator) -> TensorProto:
    dtype = info.type.tensor_type.elem_type
    shape = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
    kind = onnx.helper.tensor_dtype_to_np_dtype(dtype)
    data: Array = rng.standard_normal(shape)
    if dtype in _LOW_BITS:
        data = rng.integers(*_LOW_BITS[dtype], shape)
    elif kind.kind in "iu":
        bounds = np.iinfo(kind)
        data = rng.integers(max(bounds.min, -100), min(bounds.max, 100), shape)
    elif kind.kind == "b":
        data = rng.integers(0, 2, shape)
    return onnx.numpy_helper.from_array(data.astype(kind), info.name)


def write(example: Example, folder: Path) -> Path:
    """Write the bad model of an example into a folder and return its file."""
    if example.write is not None:
        return Path(str(example.write(folder)))
    model = model_from_text(example.bad)
    if example.edit is not None:
        example.edit(model)
    file = folder / "model.onnx"
    file.write_bytes(model.SerializeToString())
    return file


def write_good(example: Example, folder: Path) -> Path:
    """Write the good model of an example into a folder and return its file."""
    file = folder / "model.onnx"
    file.write_bytes(model_from_text(example.good).SerializeToString())
    return file


def target_of(example: Example) -> Target:
    """Load the profile that an example is checked for."""
    name, _, toolchain = example.target.partition("@")
    board = boards.load(example.board) if example.board else None
    budget = parse_budget(example.budget)
    return replace(profiles.load(name, toolchain or None), board=board, budget=budget)


def listed(folder: Path, names: Sequence[str]) -> Tracked:
    """Return what git would say of a folder in which it tracks these files."""
    rows = (f"100644 {'0' * 40} 0\t{name}\0" for name in names)
    return Tracked.recorded(folder, "".join(rows).encode())


def hits(
    rules: Sequence[Rule], file: Path, target: Target, tracked: Sequence[str] = ()
) -> dict[str, list[Hit]]:
    """Run rules over a file; what keeps it from being read counts as a hit of its rule.

    Args:
        rules: to run.
        file: the model.
        target: to check for.
        tracked: the files of its folder that git tracks; empty for no git.

    Returns:
        hits by rule name, only for the rules that were asked for.
    """
    found: dict[str, list[Hit]] = {rule.name: [] for rule in rules}
    try:
        known = listed(file.parent, tracked) if tracked else None
        facts = Facts(load(file, file.name, Limits(), known))
    except ModelError as error:
        if error.rule in found:
            found[error.rule].append(Hit(Location(), str(error)))
        return found
    for rule in rules:
        found[rule.name] = list(rule.check(facts, target))
    return found
