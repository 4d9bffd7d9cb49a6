"""Whether a model is small enough to be run as a proof, however small its file is.

A hundred bytes may declare an input of a gigabyte. What a model may hold while it runs therefore
grows with its file; every network that fits a microcontroller stays far below.
"""

from __future__ import annotations

from typing import Final

from npugate.facts import Facts

_INPUT_ELEMENTS: Final = 1 << 22  # of all inputs; a dozen samples are held at a time
_TENSOR_ELEMENTS: Final = 1 << 24  # of any value
_PER_BYTE: Final = 64  # elements more for each byte of the file


def refusal(facts: Facts) -> str:
    """Say why a model is not run; empty when it may be."""
    more = _PER_BYTE * facts.model.size_bytes
    fed = sum(tensor.elements or 0 for tensor in facts.main.inputs)
    if fed > _INPUT_ELEMENTS + more:
        return _text("its inputs have", fed, _INPUT_ELEMENTS + more)
    computed = (tensor for tensor in facts.tensors if not tensor.is_constant)
    largest = max(computed, key=lambda tensor: tensor.elements or 0, default=None)
    elements = (largest.elements or 0) if largest is not None else 0
    if largest is not None and elements > _TENSOR_ELEMENTS + more:
        return _text(f"{largest.name[:80]!r} has", elements, _TENSOR_ELEMENTS + more)
    return ""


def _text(what: str, elements: int, most: int) -> str:
    return (
        f"{what} {elements} elements, more than the {most} with which a file of this size is run "
        "to prove a repair"
    )
