"""Give every input a static shape: find the value of each symbol, then write it everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, field
from onnx import GraphProto, ModelProto, TypeProto, ValueInfoProto
from onnx.shape_inference import InferenceError, infer_shapes

from npugate.surgery.fold import fold
from npugate.surgery.node import DEFAULT_DOMAINS, NoFormError
from npugate.surgery.scope import bodies_of
from npugate.surgery.shapes import Dim, InferenceRefusedError, Known, infer, known_of, light


class Plan(Struct):
    """What the inputs become.

    Attributes:
        shapes: new shape of each input that changes.
        symbols: value of each symbol.
        assumed: inputs whose leading axis was open and nothing said what it is: it became 1.
    """

    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    symbols: dict[str, int] = field(default_factory=dict)
    assumed: list[str] = field(default_factory=list)


def plan(model: ModelProto, wanted: Mapping[str, Sequence[int]]) -> Plan:
    """Find the static shape of every input.

    Args:
        model: it is left as it is.
        wanted: shapes that the user gave, by input.

    Raises:
        NoFormError: an axis other than a leading one is open and nothing says what it is, or what
            was given contradicts the file or itself.
    """
    found = Plan()
    given = dict(inputs(model.graph))
    for name, dims in given.items():
        if name in wanted:
            _bind_given(found, name, dims, wanted[name])
    for name, dims in given.items():
        leading = dims[0] if dims else None
        is_open = isinstance(leading, str) or leading is None
        if dims is not None and len(dims) > 1 and name not in wanted and is_open:
            if not isinstance(leading, str):
                found.assumed.append(name)
            elif leading not in found.symbols:
                found.symbols[leading] = 1
                found.assumed.append(name)
    defaults = {dims[0] for name, dims in given.items() if name in found.assumed and dims}
    for name, dims in given.items():
        if name in wanted:
            continue
        shape = _resolved(found, name, dims, defaults)
        if shape != dims:
            found.shapes[name] = shape
    return found


def shaped(model: ModelProto, found: Plan) -> ModelProto:
    """Return a light copy that has the shapes of a plan."""
    trial = light(model)
    for info in trial.graph.input:
        if info.name in found.shapes:
            _set_dims(info.type, found.shapes[info.name])
    _bind_below(trial.graph, found.symbols)
    return trial


def is_size(dim: Dim) -> bool:
    """Tell whether a dimension is a number of elements."""
    return isinstance(dim, int) and dim > 0


def inputs(graph: GraphProto) -> Iterator[tuple[str, tuple[Dim, ...] | None]]:
    """Yield (name, shape) of every tensor that a user feeds."""
    weights = {item.name for item in graph.initializer}
    for info in graph.input:
        if info.name not in weights and info.type.WhichOneof("value") == "tensor_type":
            yield info.name, known_of([info])[info.name].shape


def _bind_given(found: Plan, name: str, dims: tuple[Dim, ...] | None, given: Sequence[int]) -> None:
    shape = tuple(int(size) for size in given)
    text = ",".join(str(size) for size in shape)
    if any(size < 1 for size in shape):
        raise NoFormError(f"--shape {name}={text} has a size that is not positive")
    if dims is not None and len(dims) != len(shape):
        raise NoFormError(f"--shape {name}={text} has {len(shape)} axes, the input {len(dims)}")
    for axis, (dim, size) in enumerate(zip(dims or (), shape, strict=False)):
        if is_size(dim) and dim != size:
            raise NoFormError(f"--shape {name}={text} contradicts axis {axis}, which is {dim}")
        if isinstance(dim, str) and found.symbols.setdefault(dim, size) != size:
            raise NoFormError(
                f"--shape {name}={text} gives {dim!r} another value than {found.symbols[dim]}"
            )
    if shape != dims:
        found.shapes[name] = shape


def _resolved(
    found: Plan, name: str, dims: tuple[Dim, ...] | None, defaults: set[Dim]
) -> tuple[int, ...]:
    option = f"--shape {name}={_example(dims)}"
    if dims is None:
        raise NoFormError(f"input {name!r} has no shape: give {option}")
    shape: list[int] = []
    for axis, dim in enumerate(dims):
        if isinstance(dim, int) and dim > 0:
            shape.append(dim)
        elif isinstance(dim, str) and dim in found.symbols and (axis == 0 or dim not in defaults):
            shape.append(found.symbols[dim])
        elif axis == 0 and name in found.assumed:
            shape.append(1)
        else:
            what = f"symbolic ({dim})" if isinstance(dim, str) else "unknown"
            what = "of size 0" if dim == 0 else what
            raise NoFormError(f"axis {axis} of input {name!r} is {what}: give {option}")
    return tuple(shape)


def _example(dims: tuple[Dim, ...] | None) -> str:
    if dims is None:
        return "1,3,224,224"
    sizes = [str(dim) if is_size(dim) else "SIZE" for dim in dims]
    if len(sizes) > 1 and sizes[0] == "SIZE":
        sizes[0] = "1"
    return ",".join(sizes)


def write(model: ModelProto, found: Plan) -> dict[str, tuple[Known, Known]]:
    """Write static shapes into a model, and what follows from them.

    Args:
        model: edited in place.
        found: shapes that starve no node, see ``extent``.

    Returns:
        The inputs and outputs that have another shape: (before, after).

    Raises:
        NoFormError: the shapes do not go together.
        InferenceRefusedError: inference refuses the model altogether.
    """
    graph = model.graph
    was_sound = not fault(model)
    before = known_of((*graph.input, *graph.output))
    for info in graph.input:
        if info.name in found.shapes:
            _set_dims(info.type, found.shapes[info.name])
    _bind_below(graph, found.symbols)
    custom = _custom_values(graph)
    kept = [ValueInfoProto.FromString(i.SerializeToString()) for i in graph.value_info]
    del graph.value_info[:]
    graph.value_info.extend(info for info in kept if info.name in custom)
    if was_sound and (reason := fault(model)):
        raise NoFormError(f"the network does not work with these shapes: {reason}")
    known = _outputs_known(model)
    for info in graph.output:
        item = known.get(info.name)
        if item is not None and item.shape is not None and info.type.HasField("tensor_type"):
            _set_dims(info.type, _merged(known_of([info])[info.name].shape, item.shape))
    after = known_of((*graph.input, *graph.output))
    return {
        name: (before[name], item)
        for name, item in after.items()
        if item.shape != before[name].shape
    }


def _outputs_known(model: ModelProto) -> Mapping[str, Known]:
    """Infer; where an output stays open, once more with what is computed from shapes."""
    shadow = light(model)
    try:
        known: Mapping[str, Known] = infer(shadow)
    except InferenceRefusedError:
        known = {}
    if all(_is_static(known.get(info.name)) for info in model.graph.output):
        return known
    fold(shadow)
    return infer(shadow)


def _is_static(known: Known | None) -> bool:
    return known is not None and known.static is not None


def _merged(declared: tuple[Dim, ...] | None, found: tuple[Dim, ...]) -> list[Dim]:
    """Join what is declared with what inference found, without the symbols that it invents."""
    if declared is None or len(declared) != len(found):
        declared = (None,) * len(found)
    return [new if isinstance(new, int) else old for old, new in zip(declared, found, strict=True)]


def fault(model: ModelProto) -> str:
    """Return why strict inference refuses a model; empty when it does not."""
    try:
        infer_shapes(light(model), strict_mode=True, data_prop=True)
    except (InferenceError, RuntimeError, ValueError) as error:
        return " ".join(str(error).split())[:300]
    return ""


def _set_dims(kind: TypeProto, dims: Sequence[Dim]) -> None:
    kind.tensor_type.ClearField("shape")
    shape = kind.tensor_type.shape
    shape.SetInParent()  # no axes is a scalar, no shape is unknown
    for dim in dims:
        added = shape.dim.add()
        if isinstance(dim, int):
            added.dim_value = dim
        elif dim is not None:
            added.dim_param = dim


def _bind_below(graph: GraphProto, symbols: Mapping[str, int]) -> None:
    """Write the values of symbols into every declaration of a graph and its bodies."""
    for info in (*graph.input, *graph.output, *graph.value_info):
        for dim in info.type.tensor_type.shape.dim if info.type.HasField("tensor_type") else ():
            if dim.dim_param in symbols:
                dim.dim_value = symbols[dim.dim_param]
    for node in graph.node:
        for body in bodies_of(node):
            _bind_below(body, symbols)


def _custom_values(graph: GraphProto) -> set[str]:
    return {name for n in graph.node if n.domain not in DEFAULT_DOMAINS for name in n.output}
