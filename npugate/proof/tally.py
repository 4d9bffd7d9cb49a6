"""What a proof has seen so far."""

from __future__ import annotations

from msgspec import Struct, field
from onnx import ModelProto

from npugate.facts.graph import Array
from npugate.proof.compare import Difference, any_finite, is_float
from npugate.surgery.lineage import Lineage


class Pair(Struct, frozen=True):
    """A tensor of the repaired model and the one of the original whose elements it holds."""

    repaired: str
    original: str


def pairs(original: ModelProto, repaired: ModelProto, lineage: Lineage) -> list[Pair]:
    """Return the outputs of every node that a repair made or changed, with their originals.

    A node is changed, too, when a constant that it reads is another one under the same name.
    """
    same = {node.SerializeToString() for node in original.graph.node}
    old = {item.name: item for item in original.graph.initializer}
    changed = {
        item.name
        for item in repaired.graph.initializer
        if item.name in old and item.SerializeToString() != old[item.name].SerializeToString()
    }
    made = {name for node in original.graph.node for name in node.output}
    outputs = {info.name for info in repaired.graph.output}
    found: list[Pair] = []
    for node in repaired.graph.node:
        if node.SerializeToString() in same and not changed.intersection(node.input):
            continue
        for name in node.output:
            source = lineage.of(name)
            if source is not None and source in made and name not in outputs:
                found.append(Pair(name, source))
    return found


class UnequalError(Exception):
    """A tensor differs, or the repaired model does not run; the text says which and how."""


class Tally(Struct):
    """Counts and extremes over all samples.

    Attributes:
        samples: labels of those that were run.
        compared: tensors of the repaired model that were compared.
        error, limit: the largest.
        steps: largest share of the integers of a tensor that were one step off.
        notes: what weakens the proof.
        failed: label of a sample that the original does not take -> why.
        seen: first elements of each output, a sample each.
    """

    samples: set[str] = field(default_factory=set)
    compared: set[str] = field(default_factory=set)
    error: float = 0.0
    limit: float = 0.0
    steps: float = 0.0
    notes: dict[str, None] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    seen: dict[str, list[Array]] = field(default_factory=dict)

    def count(self, pair: Pair, label: str, found: Difference, reference: Array) -> None:
        """Note a comparison.

        Args:
            pair: the tensor.
            label: of the sample.
            found: the difference.
            reference: T[...], of the original.

        Raises:
            UnequalError: the tensors differ.
        """
        if not found.is_equal:
            how = found.fault or f"max |d| {found.error:.3g} > {found.limit:.3g}"
            raise UnequalError(f"{pair.repaired!r} differs on {label}: {how}")
        self.samples.add(label)
        if is_float(reference) and not any_finite(reference):
            self.notes[f"{pair.original!r} is not finite on {label}"] = None
            return
        self.compared.add(pair.repaired)
        self.error = max(self.error, found.error)
        self.limit = max(self.limit, found.limit)
        self.steps = max(self.steps, found.steps)
        if pair.repaired == pair.original:
            self.seen.setdefault(pair.original, []).append(reference.reshape(-1)[:64].copy())
