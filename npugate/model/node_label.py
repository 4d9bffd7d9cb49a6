"""What a node is called in messages and reports: said here, for every form that a node has."""

from __future__ import annotations

from collections.abc import Iterable

from onnx import NodeProto


def node_label(node: NodeProto, index: int | None = None) -> str:
    """Return what a node of a message is called, see ``label``."""
    return label(node.name, node.output, node.op_type if index is None else f"#{index}")


def label(name: str, outputs: Iterable[str], otherwise: str) -> str:
    """Return a node's name; for an unnamed one its first output.

    Args:
        name: of the node; may be empty.
        outputs: names of its outputs; an output that is left out is empty.
        otherwise: for a node without any name: ``#index`` where its position is known, else its
            operator.
    """
    return name or next((output for output in outputs if output), otherwise)
