"""Two models that are to be compared, and what is known of them before they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import ModelProto

from npugate.facts.graph import Array
from npugate.proof import quantized
from npugate.proof.samples import Port
from npugate.proof.shared_weights import SharedWeights
from npugate.proof.tally import Pair
from npugate.surgery.shapes import InferenceRefusedError, Known, infer, known_of

Results = Mapping[str, Array]


class Models:
    """Two models, and what is known of them before they run.

    Attributes:
        original, repaired: as they are.
        per_sample: samples of the original's batch, when the repaired model takes one at a time.
        weights: the large weights of both.
        known: types and shapes of both, where both are quantised.
        cuts: quantised tensors of the repaired model that the original has, too.
        loose: tensors of the repaired model that hang on sums in another order.
        integers: tensors inside that hold integers and must be the same.
        outputs: of the repaired model, with what it declares of them.
    """

    def __init__(
        self,
        original: ModelProto,
        repaired: ModelProto,
        pairs: Sequence[Pair],
        per_sample: int,
        weights: SharedWeights,
    ) -> None:
        """Look at both graphs.

        Args:
            original: the reference.
            repaired: the model to be proved.
            pairs: inner tensors that hold the same elements under whatever name.
            per_sample: size of the batch that the repaired model no longer has; else 1.
            weights: the large weights of both.
        """
        self.original, self.repaired = original, repaired
        self.per_sample, self.weights = per_sample, weights
        is_quantized = all(map(quantized.computes_in_integers, (original, repaired)))
        self.known: tuple[Mapping[str, Known], Mapping[str, Known]] = ({}, {})
        if is_quantized:
            self.known = _inferred(original), _inferred(repaired)
        self.outputs = known_of(repaired.graph.output)
        self.links = {pair.repaired: pair.original for pair in pairs}
        self.cuts = quantized.cuts(original, repaired, self.known, self.links)
        self.loose, self.integers = self._looked_at() if is_quantized else (frozenset(), [])
        self._shapes = {name: item.shape for name, item in known_of(original.graph.input).items()}

    def _looked_at(self) -> tuple[frozenset[str], list[str]]:
        known, back = self.known, (self.known[1], self.known[0])
        new = quantized.regrouped(self.repaired, self.original, back, self.cuts)
        fed = [cut.original for cut in self.cuts.values()]
        old = quantized.regrouped(self.original, self.repaired, known, fed)
        made = {name for node in self.original.graph.node for name in node.output}
        names = [name for node in self.repaired.graph.node for name in node.output if name]
        paired = [name for name in names if self.links.get(name, name) in made]
        loose = new | {name for name in paired if self.links.get(name, name) in old}
        strict = quantized.integer_names(known[1], [n for n in paired if n not in loose])
        return loose, [name for name in strict if name not in self.outputs]

    def is_batched(self, port: Port) -> bool:
        """Tell whether the original takes an input of all samples, the repaired model of one."""
        dims = self._shapes.get(port.name)
        if self.per_sample == 1 or not port.dims or dims == ():
            return False
        first = dims[0] if dims else None
        return not isinstance(first, int) or first == self.per_sample * port.dims[0]

    def feeds(self, parts: Sequence[Results], ports: Sequence[Port]) -> Results:
        """Give the original its own shapes, and the samples of its batch.

        Args:
            parts: for each of N samples T[1, ...] by input name.
            ports: the inputs of the repaired model.

        Returns:
            T[N, ...] by input name; T[...] where all samples share an input.
        """
        found: dict[str, Array] = {}
        for port in ports:
            array, dims = parts[0][port.name], self._shapes.get(port.name)
            if self.per_sample > 1 and not port.shared:
                found[port.name] = np.concatenate([part[port.name] for part in parts])
            elif dims is not None and len(dims) != array.ndim:
                sizes = [dim if isinstance(dim, int) else 1 for dim in dims]
                found[port.name] = array.reshape(sizes)
            else:
                found[port.name] = array
        return found

    def block(self, whole: Array, size: int, index: int) -> Array:
        """Return a sample's elements of a tensor; all of one that does not depend on the samples.

        Args:
            whole: T[N, ...], of the original.
            size: elements of the repaired model's tensor.
            index: of the sample.

        Returns:
            T[size], a view; or ``whole``.
        """
        if self.per_sample == 1 or whole.size == size:
            return whole
        length = whole.size // self.per_sample
        return whole.reshape(-1)[index * length : (index + 1) * length]


def _inferred(model: ModelProto) -> Mapping[str, Known]:
    try:
        return infer(model)
    except InferenceRefusedError:
        return {}
