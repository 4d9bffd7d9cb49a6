"""Apply one repair to a model and compare the numbers, for the tests of repairs."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, helper

from npugate.rules.values import Repair
from npugate.surgery.draft import Draft
from npugate.surgery.results import Applied, RepairOptions, RepairResult, Skipped
from npugate.target import profiles

TARGET = profiles.load("stm32n6")


def apply(
    repair: Repair, model: ModelProto, options: RepairOptions | None = None
) -> tuple[RepairResult, ModelProto]:
    """Apply a repair to a copy; a result that is not Applied comes with the model as it was."""
    copy = ModelProto.FromString(model.SerializeToString())
    for number, node in enumerate(copy.graph.node):
        node.name = node.name or f"n{number}"
    draft = Draft(copy)
    draft.repair = repair.name
    assert repair.edit is not None
    result = repair.edit(draft, TARGET, options or RepairOptions())
    if not isinstance(result, Applied):
        return result, model
    assert result.edits
    return result, draft.finish()


def proved(
    repair: Repair,
    model: ModelProto,
    options: RepairOptions | None = None,
    *,
    tolerance: float = 0.0,
    integers: bool = True,
) -> tuple[Applied, ModelProto]:
    """Apply a repair and hold the result to the gate: legal, done when it is done, equal."""
    result, repaired = apply(repair, model, options)
    assert isinstance(result, Applied), result
    onnx.checker.check_model(repaired, full_check=True)
    again, _ = apply(repair, repaired, options)
    assert isinstance(again, Skipped), again
    for seed in range(2):
        fed = feeds(model, seed, integers=integers)
        for want, got in zip(run(model, fed), run(repaired, fed), strict=True):
            assert got.dtype == want.dtype
            assert got.shape == want.shape
            if tolerance and want.dtype.kind == "f":
                room = tolerance * max(1.0, float(np.abs(want).max(initial=0)))
                np.testing.assert_allclose(got, want, rtol=0, atol=room)
            else:
                np.testing.assert_array_equal(got, want)
    return result, repaired


def feeds(model: ModelProto, seed: int, *, integers: bool = True) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    weights = {item.name for item in model.graph.initializer}
    fed: dict[str, np.ndarray] = {}
    for info in model.graph.input:
        if info.name in weights:
            continue
        dims = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        kind = helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
        drawn = rng.integers(-4, 5, dims) if integers else rng.standard_normal(dims)
        fed[info.name] = np.asarray(drawn > 0 if kind == np.bool_ else drawn).astype(kind)
    return fed


def run(model: ModelProto, fed: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, fed))
