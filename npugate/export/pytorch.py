"""The one importer of torch: load weights, run the module, call torch's two exporters.

Imported in the child only; nothing else may import it at its top.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from msgspec import Struct, field
from onnx import ModelProto, helper

from npugate.errors import UsageError
from npugate.export import entry
from npugate.facts.graph import Array
from npugate.proof.samples import Port, Sample

VERSION: Final = str(torch.__version__)
_NATIVE_OPSET: Final = 18  # what the dynamo exporter writes, whatever it is asked for
_NESTS: Final = ("state_dict", "model_state_dict", "model")
_SHOWN: Final = 5
_CONTRACT: Final = "return (module, inputs): a torch.nn.Module and a tensor or a tuple of tensors"


class Subject(Struct):
    """The module with its example inputs.

    Attributes:
        names: of the inputs, in the order of ``forward``.
        inputs: tensors of batch 1, by those names.
        notices: what was done to them.
    """

    module: Any
    names: tuple[str, ...]
    inputs: tuple[Any, ...]
    notices: list[str] = field(default_factory=list)
    _double: Any = None

    def example(self) -> Sample:
        """Return the user's own inputs, T[1, ...] by name."""
        arrays = [_array(tensor) for tensor in self.inputs]
        return Sample("example", dict(zip(self.names, arrays, strict=True)))

    def ports(self) -> list[Port]:
        """Return the inputs as ports."""
        return [
            Port(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in self.example().feeds.items()
        ]

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """Run the module.

        Args:
            feeds: T[1, ...] by input name.

        Returns:
            T[...] for each output, in order.
        """
        return [_array(tensor) for tensor in self._run(self.module, self._tensors(feeds))]

    def noise(self, feeds: Mapping[str, Array]) -> list[float]:
        """Return for each output how far rounding takes it: float32 against float64.

        Args:
            feeds: T[1, ...] by input name.
        """
        if self._double is None:
            self._double = copy.deepcopy(self.module).double()
        exact = [t.double() if t.is_floating_point() else t for t in self._tensors(feeds)]
        wide = [_array(tensor) for tensor in self._run(self._double, exact)]
        return [gap(a, b) for a, b in zip(self.run(feeds), wide, strict=True)]

    def _tensors(self, feeds: Mapping[str, Array]) -> list[Any]:
        return [torch.from_numpy(np.array(feeds[name])) for name in self.names]

    @staticmethod
    def _run(module: Any, tensors: Sequence[Any]) -> list[Any]:  # noqa: ANN401 - torch has no types here
        with torch.no_grad():
            return list(_leaves(module(*tensors)))


def gap(left: Array, right: Array) -> float:
    """Return the largest finite difference of two arrays; 0 when their shapes differ.

    Args:
        left: T[*dims].
        right: T[*dims].
    """
    if left.shape != right.shape or left.size == 0:
        return 0.0
    found = np.abs(left.astype(np.float64) - right.astype(np.float64))
    return float(np.max(found[np.isfinite(found)], initial=0.0))


def settle() -> None:
    """Make this process the same in every run: one thread, seeded."""
    torch.set_num_threads(1)
    torch.manual_seed(0)


def subject(made: object, weights: Path | None, names: Sequence[str]) -> Subject:
    """Take what the user's callable returned.

    Raises:
        UsageError: it is not a module with example inputs, or the weights do not fit.
    """
    if not isinstance(made, tuple) or len(made) != 2:  # noqa: PLR2004 - a pair
        raise UsageError(f"the callable returned {_kind(made)}; {_CONTRACT}")
    module, given = made
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"the callable returned {_kind(module)} where a module goes; {_CONTRACT}")
    tensors = _inputs(given)
    module = module.cpu()
    if weights is not None:
        _load(module, weights)
    module.eval()
    for parameter in module.parameters():
        parameter.requires_grad_(requires_grad=False)
    found = Subject(module, _names(module, len(tensors), names), tensors)
    _to_batch_1(found)
    _run_once(found)
    return found


def _inputs(given: object) -> tuple[Any, ...]:
    tensors = tuple(given) if isinstance(given, tuple | list) else (given,)
    for tensor in tensors:
        if not isinstance(tensor, torch.Tensor):
            raise UsageError(f"an example input is {_kind(tensor)}, not a tensor; {_CONTRACT}")
    if not tensors:
        raise UsageError(f"the callable returned no example input; {_CONTRACT}")
    return tuple(tensor.detach().cpu().contiguous() for tensor in tensors)


def _load(module: Any, path: Path) -> None:  # noqa: ANN401 - as above
    """Load a state dict; pickled objects other than tensors are refused, for they run code."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UsageError(f"--weights {path}: {error.strerror or error}") from error
    except Exception as error:
        raise UsageError(
            f"--weights {path}: no state dict that can be read without running code from it "
            f"({entry.headline(error)}); save one with torch.save(module.state_dict(), FILE)"
        ) from error
    for name in _NESTS:
        if isinstance(state, Mapping) and isinstance(state.get(name), Mapping):
            state = state[name]
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
        raise UsageError(f"--weights {path}: it holds {_kind(state)}, not a state dict")
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise UsageError(f"--weights {path} does not fit the module: {error}") from error
    if missing or unexpected:
        parts = [("missing", missing), ("unknown to the module", unexpected)]
        text = "; ".join(f"{what}: {_few(keys)}" for what, keys in parts if keys)
        raise UsageError(f"--weights {path} does not fit the module; {text}")


def _few(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _names(module: Any, count: int, given: Sequence[str]) -> tuple[str, ...]:  # noqa: ANN401 - as above
    if given and len(given) != count:
        raise UsageError(f"--input-name: {len(given)} names for {count} inputs")
    if given:
        return tuple(given)
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(module.forward).parameters.values()
    names = [item.name for item in parameters if item.kind in kinds][:count]
    return tuple(names) if len(names) == count else tuple(f"input_{i}" for i in range(count))


def _to_batch_1(found: Subject) -> None:
    """Cut a batch of examples to its first; kept when the module does not run on one."""
    sizes = {tensor.shape[0] for tensor in found.inputs if tensor.dim() > 1}
    if len(sizes) != 1 or sizes == {1}:
        return
    size = sizes.pop()
    cut = tuple(t[:1].contiguous() if t.dim() > 1 else t for t in found.inputs)
    whole, found.inputs = found.inputs, cut
    try:
        found.run(found.example().feeds)
    except Exception:  # noqa: BLE001 - the leading axis is no batch then
        found.inputs = whole
        found.notices.append(f"the module does not run with batch 1: the batch of {size} is kept")
    else:
        found.notices.append(f"the example inputs are a batch of {size}: exported with batch 1")


def _run_once(found: Subject) -> None:
    feeds = found.example().feeds
    first = entry.guarded("the module, run on the example inputs, raised", lambda: found.run(feeds))
    again = found.run(feeds)
    pairs = zip(first, again, strict=True)  # type: ignore[call-overload]  # a list, as run returns
    if not all(np.array_equal(left, right, equal_nan=True) for left, right in pairs):
        raise UsageError(
            "the module in evaluation mode gives other outputs when it is run again: something in "
            "it is random, such as F.dropout without training=self.training"
        )


def write(found: Subject, exporter: str, opset: int, outputs: Sequence[str]) -> ModelProto:
    """Export with static shapes.

    Args:
        found: what to export.
        exporter: ``dynamo`` or ``torchscript``.
        opset: asked of torchscript; dynamo writes its own, to be converted.
        outputs: their names; empty for ``output``, or ``output_0`` and so on.

    Raises:
        Exception: whatever torch raises.
    """
    count = len(found.run(found.example().feeds))
    if outputs and len(outputs) != count:
        raise UsageError(f"--output-name: {len(outputs)} names for {count} outputs")
    names = list(outputs) or (
        ["output"] if count == 1 else [f"output_{index}" for index in range(count)]
    )
    named = {"input_names": list(found.names), "output_names": names}
    # Torch's exporters read the arguments of the process, print the graph, and warn of themselves.
    with _silence(), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        if exporter == "dynamo":
            program = torch.onnx.export(
                found.module, found.inputs, dynamo=True, opset_version=_NATIVE_OPSET,
                verbose=False, external_data=False, **named,
            )  # fmt: skip
            return _read(program.model_proto.SerializeToString())
        buffer = io.BytesIO()
        torch.onnx.export(
            found.module, found.inputs, buffer, dynamo=False, opset_version=opset,
            verbose=True, do_constant_folding=True, **named,
        )  # fmt: skip
        return _read(buffer.getvalue())


def _read(data: bytes) -> ModelProto:
    model = ModelProto()
    model.ParseFromString(data)
    return model


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Send standard output and error nowhere, those of C++ too."""
    streams = (sys.stdout, sys.stderr)
    for stream in streams:
        stream.flush()
    kept = [os.dup(number) for number in (1, 2)]
    null = os.open(os.devnull, os.O_WRONLY)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            for number in (1, 2):
                os.dup2(null, number)
            yield
        finally:
            for number, copied in zip((1, 2), kept, strict=True):
                os.dup2(copied, number)
                os.close(copied)
            os.close(null)


def _leaves(value: object) -> Iterator[Any]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _leaves(item)
    elif value is not None:
        raise UsageError(f"the module returns {_kind(value)}, not tensors")


def _array(tensor: Any) -> Array:  # noqa: ANN401 - as above
    array: Array = tensor.detach().numpy()
    return array


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
