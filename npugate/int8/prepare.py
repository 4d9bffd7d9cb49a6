"""Make a float model ready for the quantiser, and prove that it stayed the same model.

onnxruntime's own pre-processing needs sympy, or adds eight foreign operator sets to the file when
told to do without; and below opset 13 its quantiser writes a file that no checker takes. So we fold
and convert with the surgery that the repairs use: it keeps the trace of every node, and the result
is compared with the original before anything is quantised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from onnx import ModelProto, NodeProto

from npugate.errors import UsageError
from npugate.int8.norms import fold_batch_norms, fold_gemm_factors
from npugate.proof.tally import Pair
from npugate.proof.verify import verify
from npugate.report.values import InterfaceChange
from npugate.rules.values import Repair
from npugate.surgery import structure
from npugate.surgery.fold import fold
from npugate.surgery.linking import opset_of
from npugate.surgery.results import Declined, RepairOptions
from npugate.target.values import Target

LEAST_OPSET: Final = 13  # DequantizeLinear has a channel axis from here on
_CONVERT: Final = "convert-opset"
_STATIC: Final = "set-static-shapes"


def prepare(
    original: ModelProto, target: Target, repairs: Mapping[str, Repair]
) -> tuple[ModelProto, list[str]]:
    """Return a copy that can be quantised, and what was done to it.

    Args:
        original: a float model with its weights; unchanged afterwards.
        target: its advice on the opset is followed when the model must be converted.
        repairs: every repair, by name.

    Raises:
        UsageError: it cannot be brought to opset 13, or not be shown to be the same model.
    """
    model = ModelProto()
    model.CopyFrom(original)
    done, changes = _set_shapes(model, target, repairs[_STATIC])
    done += [f"{what}: {len(nodes)}" for what, nodes in sorted(fold(model).items())]
    if opset_of(model) < LEAST_OPSET:
        done += _convert(model, target, repairs[_CONVERT])
    folded = fold_batch_norms(model)
    if folded:
        done.append(f"put BatchNormalization into the convolution before: {len(folded)}")
    factors = fold_gemm_factors(model)
    if factors:
        done.append(f"put alpha and beta of Gemm into its weights: {len(factors)}")
    done += _name_nodes(model)
    if done:
        done.append(_prove(original, model, changes))
    return model, done


def _set_shapes(
    model: ModelProto, target: Target, repair: Repair
) -> tuple[list[str], tuple[InterfaceChange, ...]]:
    """Set an open batch to 1; nothing is calibrated without a size."""
    assert repair.edit_message is not None, "set-static-shapes edits the message"  # noqa: S101 - ours
    result = repair.edit_message(model, target, RepairOptions())
    if isinstance(result, Declined):
        raise UsageError(f"int8 needs fixed sizes: {result.reason}; run npugate fix --shape first")
    return (
        list(getattr(result, "edits", ())),
        tuple(getattr(result, "interface", ())),
    )


def _convert(model: ModelProto, target: Target, repair: Repair) -> list[str]:
    limit = target.limit("opset_recommended")
    advised = limit.value if limit is not None and isinstance(limit.value, int) else 0
    goal = max(LEAST_OPSET, advised)
    assert repair.edit_message is not None, "convert-opset edits the message"  # noqa: S101 - ours
    result = repair.edit_message(model, target, RepairOptions(opset=goal))
    if isinstance(result, Declined):
        raise UsageError(
            f"int8 needs opset {LEAST_OPSET}, the model has {opset_of(model)} and cannot be "
            f"converted: {result.reason}; export it with opset {goal}"
        )
    return list(getattr(result, "edits", ()))


def _name_nodes(model: ModelProto) -> list[str]:
    """Give every node a name of its own, by which it can be left out."""
    taken = {node.name for node in model.graph.node if node.name}
    seen: set[str] = set()
    count = 0
    for node in model.graph.node:
        if node.name and node.name not in seen:
            seen.add(node.name)
            continue
        name = next((name for name in node.output if name), node.op_type)
        while name in taken:
            name += "_"
        node.name = name
        taken.add(name)
        seen.add(name)
        count += 1
    return [f"named nodes: {count}"] if count else []


def _unnamed(node: NodeProto) -> bytes:
    """Return what a node is, without its name: that it got one is nothing to prove."""
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.name = ""
    return bytes(copy.SerializeToString())


def _prove(original: ModelProto, model: ModelProto, changes: Sequence[InterfaceChange]) -> str:
    fault = structure.fault(original, model, changes)
    if fault:
        raise UsageError(f"the model cannot be made ready for int8: {fault}; run npugate fix first")
    before = {name for node in original.graph.node for name in node.output}
    outputs = {info.name for info in model.graph.output}
    same = {_unnamed(node) for node in original.graph.node}
    pairs = [
        Pair(name, name)
        for node in model.graph.node
        if _unnamed(node) not in same
        for name in node.output
        if name in before - outputs
    ]
    found = verify(original, model, pairs)
    if found.equal is None:
        raise UsageError(
            f"the model cannot be run, so it cannot be quantised: {found.reason}; run npugate fix "
            "first (npugate fix --shape NAME=1,3,224,224 gives an input its size)"
        )
    if not found.equal:
        raise UsageError(f"making the model ready for int8 would change it: {found.reason}")
    return (
        f"compared with the original: {found.samples} samples, {found.values} tensors, "
        f"largest difference {found.max_abs_error:.2g} (limit {found.tolerance:.2g})"
    )
