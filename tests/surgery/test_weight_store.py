"""Large weights leave the messages while a model is repaired, and come back as they were."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from msgspec.structs import replace
from onnx import ModelProto, TensorProto, helper, numpy_helper

from npugate.facts import Facts
from npugate.limits import Limits
from npugate.proof.verify import verify
from npugate.repair import gate
from npugate.repair.context import RepairContext
from npugate.repair.values import Repaired
from npugate.rules import check, registry
from npugate.settings.options import RepairRequest
from npugate.surgery import structure
from npugate.surgery.draft import Draft
from npugate.surgery.fold import fold
from npugate.surgery.results import RepairOptions
from npugate.surgery.weight_store import LEAST_BYTES, WeightStore
from npugate.target import profiles

SIDE = 160  # squared, as floats, above the least that goes to the store
ROOT = Path(__file__).resolve().parents[2]
UNKNOWN = b"\xfa\x7f\x05hello"  # field 2047, which no schema has
KINDS = ["float32", "float16", "float64", "int8", "int16", "int32", "int64", "uint8"]


def network(*, folded: bool = False, batch: str | int = 1) -> ModelProto:
    """Return a product with a large weight, which is a transposed one where it can be folded."""
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.standard_normal((SIDE, SIDE), np.float32), "w"),
        numpy_helper.from_array(np.ones(SIDE, np.float32), "b"),
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "t" if folded else "w"], ["h"], name="product"),
        helper.make_node("Add", ["h", "b"], ["y"], name="sum"),
    ]
    if folded:
        nodes.insert(0, helper.make_node("Transpose", ["w"], ["t"], name="turn", perm=[1, 0]))
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, SIDE]) for name in "xy"
    ]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


def rich() -> ModelProto:
    """Return a model whose every message has all kinds of fields, unknown ones at each level."""
    made = network()
    made.metadata_props.add(key="k", value="v")
    made.graph.doc_string = "a graph"
    made.graph.metadata_props.add(key="k", value="v")
    for index, kind in enumerate(KINDS):
        tensor = numpy_helper.from_array(np.ones((LEAST_BYTES, 2), kind), f"t{index}")
        tensor.doc_string = f"weight {index}"
        tensor.metadata_props.add(key="trained", value="yes")
        made.graph.initializer.append(tensor)
    made.graph.initializer[0].data_location = TensorProto.DEFAULT
    for message in (made.graph.initializer[2], made.graph.node[0], made.graph):
        message.MergeFromString(UNKNOWN)
    return ModelProto.FromString(made.SerializeToString() + UNKNOWN)


def copy_of(model: ModelProto) -> ModelProto:
    return ModelProto.FromString(model.SerializeToString())


def test_a_model_is_light_on_the_way_and_the_same_at_its_end():
    store, model = WeightStore(), rich()
    before = model.SerializeToString()
    light = store.take(model)
    assert light.ByteSize() < 5_000
    assert store.whole(light).SerializeToString() == before
    assert len(before) <= store.size_of(light) < len(before) + 500
    assert store.serialized(light) == before
    assert light.ByteSize() < 5_000


def test_what_is_small_rare_or_elsewhere_stays_itself():
    model = network()
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.ones(LEAST_BYTES // 4 - 1, "f4"), "small"))
    graph.initializer.append(numpy_helper.from_array(np.ones(LEAST_BYTES, "f4"), "rare"))
    graph.initializer[-1].data_type = TensorProto.BFLOAT16
    typed = helper.make_tensor("typed", TensorProto.FLOAT, [LEAST_BYTES], np.ones(LEAST_BYTES))
    graph.initializer.append(typed)
    graph.initializer.append(numpy_helper.from_array(np.ones(LEAST_BYTES, "f4"), "wrong"))
    graph.initializer[-1].dims[0] += 1
    away = graph.initializer.add(name="away", data_type=1, dims=[LEAST_BYTES])
    away.data_location = TensorProto.EXTERNAL
    away.external_data.add(key="location", value="file")
    before = {item.name: item.SerializeToString() for item in graph.initializer}
    light = WeightStore().take(model)
    after = {item.name: item.SerializeToString() for item in light.graph.initializer}
    assert {name for name in before if before[name] != after[name]} == {"w"}


def test_a_model_without_large_weights_is_not_copied():
    model = onnx.ModelProto()
    assert WeightStore().take(model) is model


@pytest.mark.parametrize("kind", KINDS)
def test_the_elements_are_those_of_the_tensor(kind):
    array = (np.arange(LEAST_BYTES * 2) % 100).reshape(2, LEAST_BYTES).astype(kind)
    tensor = numpy_helper.from_array(array, "w")
    store = WeightStore()
    assert store.array(tensor) is None
    store.put(tensor)
    assert np.array_equal(store.array(tensor), array)
    assert store.array(tensor).dtype == array.dtype


def test_a_reference_means_nothing_without_its_store_and_cannot_be_read_as_zeros():
    tensor = numpy_helper.from_array(np.ones(LEAST_BYTES, "f4"), "w")
    WeightStore().put(tensor)
    assert WeightStore().array(tensor) is None
    with pytest.raises((onnx.checker.ValidationError, FileNotFoundError, ValueError)):
        numpy_helper.to_array(tensor)


def test_weights_that_no_model_has_any_more_are_let_go():
    store = WeightStore()
    first, second = store.take(network()), store.take(network())
    store.keep([second])
    assert store.array(first.graph.initializer[0]) is None
    assert store.array(second.graph.initializer[0]) is not None


def test_folding_reads_a_reference_and_leaves_one():
    store, plain = WeightStore(), network(folded=True)
    fold(expected := copy_of(plain))
    light = store.take(plain)
    assert fold(light, store) == {"computed Transpose": ["turn"]}
    assert light.ByteSize() < 2_000
    assert store.whole(light) == expected
    assert store.serialized(light) == expected.SerializeToString()


def test_a_draft_reads_a_reference_and_what_it_makes_becomes_one():
    store = WeightStore()
    light = store.take(network())
    draft = Draft(light, store=store)
    product = draft.nodes[0]
    weight = draft.array(product.inputs[1])
    draft.set_input(product, 1, draft.constant(weight * 2, "twice"))
    done = draft.finish()
    assert done.ByteSize() < 2_000
    made = {t.name: t for t in store.whole(done).graph.initializer}
    twice = next(tensor for name, tensor in made.items() if name.startswith("twice"))
    assert np.array_equal(numpy_helper.to_array(twice), weight * 2)
    assert "w" not in made


@pytest.mark.parametrize(("factor", "equal"), [(1, True), (1.5, False)])
def test_a_proof_reads_the_weights_of_both_models(factor, equal):
    store, other = WeightStore(), network()
    weight = numpy_helper.to_array(other.graph.initializer[0]).copy()
    weight[3, 5] *= factor
    other.graph.initializer[0].raw_data = weight.tobytes()
    found = verify(store.take(network()), store.take(other), store=store)
    assert found.equal is equal


def repaired(model: ModelProto) -> Repaired:
    rules, profile, limits = registry.rules(), profiles.load("stm32n6"), Limits()
    context = RepairContext(
        rules, tuple(rules), profile, limits, RepairRequest(registry.repairs(), RepairOptions())
    )
    facts = Facts(structure.skeleton(model), limits)
    hits = check.run(facts, rules, context.chosen, profile, lambda _stage: None).hits
    context = replace(
        context,
        request=replace(
            context.request, selected=frozenset({"set-static-shapes", "fold-constants"})
        ),
    )
    return gate.repair_model(model, facts, hits, context)[0]


def test_a_repaired_model_has_its_weights_and_is_proved_with_them():
    model = network(folded=True, batch="N")
    twin = numpy_helper.to_array(model.graph.initializer[0]).T
    result = repaired(model)
    assert result.report.verification.equal is True
    assert [o.state for o in result.report.outcomes if o.repair == "fold-constants"] == ["applied"]
    weights = {t.name: numpy_helper.to_array(t) for t in result.model.graph.initializer}
    assert any(np.array_equal(array, twin) for array in weights.values())
    assert result.model.SerializeToString() == result.data
    onnx.checker.check_model(result.model, full_check=True)


def test_a_repair_takes_less_than_four_times_the_file(tmp_path):
    """The largest process, as the kernel measures it; libraries take 80 MiB of it."""
    side, count = 1500, 8
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.random((side, side), np.float32), f"w{i}") for i in range(count)
    ]
    nodes = [helper.make_node("MatMul", [f"v{i}", f"w{i}"], [f"v{i + 1}"]) for i in range(count)]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", side])
        for name in ("v0", f"v{count}")
    ]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], weights)
    opsets = [helper.make_opsetid("", 14)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "m.onnx")
    code = (
        f"import resource, sys; sys.path.insert(0, {str(ROOT)!r}); from npugate.cli import main; "
        "status = main(['fix', '--dry-run', '--quiet', 'm.onnx', '--fail-on', 'never']); "
        "print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    status, peak = map(int, ran.stdout.split())
    assert status == 0
    assert peak * 1024 < 4 * (tmp_path / "m.onnx").stat().st_size
