"""Run a model in onnxruntime on the CPU, with chosen inner tensors shown as outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import onnxruntime as ort
from onnx import ModelProto, ValueInfoProto

from npugate.facts.graph import Array

_QUIET = 4
_PROTOBUF_BYTES = 2**31 - 1


class CannotRunError(Exception):
    """onnxruntime refuses a model or fails to run it; the text is the reason."""


class Session:
    """One model, loaded: one thread, on the CPU."""

    def __init__(
        self, model: ModelProto, shown: Sequence[str] = (), *, optimised: bool = False
    ) -> None:
        """Load a model.

        Args:
            model: unchanged afterwards.
            shown: inner tensors to return beside the outputs.
            optimised: with onnxruntime's optimisations; the same maths by other kernels.

        Raises:
            CannotRunError: onnxruntime refuses it.
        """
        options = ort.SessionOptions()
        levels = ort.GraphOptimizationLevel
        options.graph_optimization_level = (
            levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
        )
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _QUIET
        with _showing(model, shown) as data:
            try:
                self._session = ort.InferenceSession(
                    data, options, providers=["CPUExecutionProvider"]
                )
            except Exception as error:
                raise CannotRunError(_reason(error)) from error
        self.outputs = [item.name for item in self._session.get_outputs()]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run once; return every output and shown tensor by name.

        Raises:
            CannotRunError: it fails at run time.
        """
        try:
            results = self._session.run(None, dict(feeds))
        except Exception as error:
            raise CannotRunError(_reason(error)) from error
        return dict(zip(self.outputs, results, strict=True))


@contextmanager
def _showing(model: ModelProto, shown: Sequence[str]) -> Iterator[bytes]:
    """Serialise a model with more outputs, without copying its weights first."""
    outputs = model.graph.output
    count = len(outputs)
    present = {info.name for info in outputs}
    outputs.extend(ValueInfoProto(name=name) for name in shown if name not in present)
    try:
        if model.ByteSize() > _PROTOBUF_BYTES:
            raise CannotRunError("the model is larger than 2 GiB")
        yield model.SerializeToString()
    finally:
        del outputs[count:]


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text.partition(" : ")[2] or text or type(error).__name__
