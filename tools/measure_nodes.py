"""Apply repairs to onnx's backend tests and compare the numbers on the tests' own inputs.

    python tools/measure_nodes.py FOLDER make_legal fold_constants
    python tools/measure_nodes.py FOLDER convert_opset --opset 14

FOLDER holds the tests as onnx writes them: a folder each, with ``model.onnx`` and
``test_data_set_0/input_0.pb``. A repair that declines leaves the model as it was. Prints a table of
what became of each, every model that is worse than before, and ends with status 1 if there is one.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, TensorProto, numpy_helper

from npugate.rules import registry
from npugate.rules.values import Repair
from npugate.surgery.results import Applied, Declined, RepairOptions
from npugate.target import profiles

TOLERANCES = {2: (2e-3, 1e-3), 4: (1e-4, 1e-5), 8: (1e-7, 1e-9)}  # bytes of a float: rtol, atol


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("repairs", nargs="+", help="file names in fixers/, without .py, in order")
    parser.add_argument("--opset", type=int, help="version of ai.onnx to convert to")
    parser.add_argument("--only", default="", help="part of the path of the tests to run")
    arguments = parser.parse_args()
    ort.set_default_logger_severity(4)
    repairs = [load(name) for name in arguments.repairs]
    options = RepairOptions(opset=arguments.opset)
    counts: Counter[str] = Counter()
    for file in sorted(arguments.folder.rglob("model.onnx")):
        if arguments.only in str(file):
            state, text = examine(file, repairs, options)
            counts[state] += 1
            if state in {"wrong", "does not run", "not valid any more"}:
                sys.stdout.write(f"{state}: {file.parent.name}: {text}\n")
    for state, count in counts.most_common():
        sys.stdout.write(f"{count:6} {state}\n")
    return 1 if counts["wrong"] + counts["does not run"] + counts["not valid any more"] else 0


def load(name: str) -> Repair:
    """Import one repair file by its location."""
    file = registry.bundled("fixers") / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"npugate.fixers.{name}", file)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    repair: Repair = module.REPAIR
    return repair


def examine(file: Path, repairs: Sequence[Repair], options: RepairOptions) -> tuple[str, str]:
    """Return what became of one test, and the reason or the difference."""
    original = onnx.load(file)
    model, outcome = repaired(original, repairs, options)
    if model is None:
        return outcome, ""
    if is_valid(original) and not is_valid(model):
        return "not valid any more", outcome
    try:
        feeds = inputs_of(original, file.parent / "test_data_set_0")
        expected = run(original, feeds)
    except Exception as error:  # noqa: BLE001 - the runtime raises its own kinds, untyped
        return "original does not run", str(error)
    try:
        found = run(model, feeds)
    except Exception as error:  # noqa: BLE001 - as above
        return "does not run", str(error)[:200]
    return ("same numbers", "") if same(expected, found) else ("wrong", outcome)


def repaired(
    original: ModelProto, repairs: Sequence[Repair], options: RepairOptions
) -> tuple[ModelProto | None, str]:
    """Apply repairs in a row; return None when none changed anything, and what the last said."""
    model, outcome, changed = original, "skipped", False
    profile = profiles.load("stm32n6")
    for repair in repairs:
        copy = ModelProto()
        copy.CopyFrom(model)
        assert repair.edit_message is not None, repair.name  # noqa: S101 - only these are measured
        result = repair.edit_message(copy, profile, options)
        if isinstance(result, Applied):
            model, outcome, changed = copy, "; ".join(result.edits), True
        elif isinstance(result, Declined) and not changed:
            outcome = "declined"
    return (model, outcome) if changed else (None, outcome)


def is_valid(model: ModelProto) -> bool:
    """Tell whether the checker accepts a model with its shapes."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        return False
    return True


def inputs_of(model: ModelProto, folder: Path) -> dict[str, object]:
    """Return a test's own inputs by name."""
    feeds: dict[str, object] = {}
    for index, info in enumerate(model.graph.input):
        file = folder / f"input_{index}.pb"
        if file.exists():
            feeds[info.name] = numpy_helper.to_array(TensorProto.FromString(file.read_bytes()))
    return feeds


def run(model: ModelProto, feeds: dict[str, object]) -> list[object]:
    """Run a model as it is written."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, feeds))


def same(left: object, right: object) -> bool:
    """Compare outputs: floats by their size, everything else exactly."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if not isinstance(left, np.ndarray) or not isinstance(right, np.ndarray):
        return left == right
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if left.dtype.kind != "f":
        return bool(np.array_equal(left, right))
    rtol, atol = TOLERANCES[left.dtype.itemsize]
    return bool(np.allclose(left, right, rtol=rtol, atol=atol, equal_nan=True))


if __name__ == "__main__":
    sys.exit(main())
