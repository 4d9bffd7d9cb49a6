"""Run a model in onnxruntime on the CPU, with chosen inner tensors shown as outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import onnxruntime as ort
from onnx import ModelProto, ValueInfoProto

from npugate.facts.graph import Array
from npugate.proof.shared_weights import EXTERNAL_FILE, SharedWeights

_QUIET = 4
_PROTOBUF_BYTES = 2**31 - 1


class CannotRunError(Exception):
    """onnxruntime refuses a model or fails to run it; the text is the reason."""


class Session:
    """One model, loaded: one thread, on the CPU."""

    def __init__(
        self,
        model: ModelProto,
        shown: Sequence[str] = (),
        *,
        optimised: bool = False,
        shared: SharedWeights | None = None,
    ) -> None:
        """Load a model.

        Args:
            model: unchanged afterwards.
            shown: inner tensors to return beside the outputs.
            optimised: with onnxruntime's optimisations; the same maths by other kernels.
            shared: weights that other sessions use, too; not for optimised sessions, which read
                the elements of weights while they load.

        Raises:
            CannotRunError: onnxruntime refuses it.
        """
        with _showing(model, shown):
            try:
                if shared is None:
                    self._session = _made(_serial(model), _options(optimised=optimised))
                else:
                    self._session, self._held = _sharing(model, shared)
            except CannotRunError:
                raise
            except Exception as error:
                raise CannotRunError(_reason(error)) from error
        self.outputs = [item.name for item in self._session.get_outputs()]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run once.

        Args:
            feeds: T[*dims] by input name.

        Returns:
            T[...] by name, of every output and shown tensor.

        Raises:
            CannotRunError: it fails at run time.
        """
        try:
            results = self._session.run(None, dict(feeds))
        except Exception as error:
            raise CannotRunError(_reason(error)) from error
        return dict(zip(self.outputs, results, strict=True))


def _options(*, optimised: bool = False) -> ort.SessionOptions:
    options = ort.SessionOptions()
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    )
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _QUIET
    return options


def _made(data: bytes, options: ort.SessionOptions) -> ort.InferenceSession:
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _sharing(
    model: ModelProto, shared: SharedWeights
) -> tuple[ort.InferenceSession, list[ort.OrtValue]]:
    """Make a session that does not copy its weights; with it, the values that must outlive it."""
    external = shared.externalize(model)
    if not external.weights:
        return _made(external.data, _options()), []
    values = [ort.OrtValue.ortvalue_from_numpy(array) for array in external.weights.values()]
    options = _options()
    for name, value in zip(external.weights, values, strict=True):
        options.add_initializer(name, value)
    folder = "session.model_external_initializers_file_folder_path"
    options.add_session_config_entry(folder, str(EXTERNAL_FILE.parent))
    options.add_session_config_entry("session.disable_prepacking", "1")  # packs a copy
    try:
        return _made(external.data, options), values
    except Exception:  # noqa: BLE001 - it reads a weight while loading: hold a copy
        return _made(_serial(shared.whole(model)), _options()), []


@contextmanager
def _showing(model: ModelProto, shown: Sequence[str]) -> Iterator[None]:
    """Let a model have more outputs, without copying its weights."""
    outputs = model.graph.output
    count = len(outputs)
    present = {info.name for info in outputs}
    outputs.extend(ValueInfoProto(name=name) for name in shown if name not in present)
    try:
        yield
    finally:
        del outputs[count:]


def _serial(model: ModelProto) -> bytes:
    if model.ByteSize() > _PROTOBUF_BYTES:
        raise CannotRunError("the model is larger than 2 GiB")
    data: bytes = model.SerializeToString()
    return data


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text.partition(" : ")[2] or text or type(error).__name__
