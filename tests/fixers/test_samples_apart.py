"""What mixes the samples of a batch stays together, by the list and by the proof, each alone."""

import numpy as np
import pytest
from onnx import ModelProto

from fixers import take_one_sample
from npugate.facts import Facts
from npugate.limits import Limits
from npugate.repair.context import RepairContext
from npugate.repair.gate import repair_model
from npugate.rules import registry
from npugate.rules.check import run as run_rules
from npugate.settings.options import RepairRequest
from npugate.surgery import structure
from npugate.surgery.results import Applied, Declined, RepairOptions
from npugate.target import profiles
from tests.repaired import run
from tests.sample_cases import MIXING, PER_SAMPLE, SAMPLES

TARGET = profiles.load("stm32n6")
RULES = registry.rules()


def copy_of(model):
    return ModelProto.FromString(model.SerializeToString())


def outcomes_of(model, chosen=frozenset({"take-one-sample"})):
    model = copy_of(model)
    context = RepairContext(
        RULES,
        tuple(RULES),
        TARGET,
        Limits(),
        RepairRequest(registry.repairs(), RepairOptions(), chosen),
    )
    facts = Facts(structure.skeleton(model), Limits())
    hits = run_rules(facts, RULES, tuple(RULES), TARGET, lambda _stage: None).hits
    result, _ = repair_model(model, facts, hits, context)
    return result, {outcome.repair: outcome for outcome in result.report.outcomes}


def independent(model, seed):
    """Return inputs whose samples have nothing in common, neither scale nor offset."""
    rng = np.random.default_rng(seed)
    fed = {}
    for info in model.graph.input:
        dims = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        rows = [rng.standard_normal(dims[1:]) * 10.0**index + 3 * index for index in range(dims[0])]
        fed[info.name] = np.stack(rows).astype(np.float32)
    return fed


def test_the_program_leaves_every_network_that_mixes_samples_equal():
    """Whatever else is repaired: what is written computes what the original did."""
    for name, model in MIXING.items():
        result, outcomes = outcomes_of(model, frozenset({"take-one-sample", "fold-batch"}))
        assert outcomes["take-one-sample"].state == "declined", name
        if result.model is None:
            continue
        fed = independent(model, 5)
        for want, got in zip(run(model, fed), run(result.model, fed), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize("name", MIXING)
def test_the_list_declines_what_mixes_samples(name):
    result = take_one_sample.apply(copy_of(MIXING[name]), TARGET, RepairOptions())
    assert isinstance(result, Declined), result
    assert result.reason.endswith("; export the model with a batch of 1")


@pytest.mark.parametrize("name", MIXING)
def test_the_proof_alone_declines_what_mixes_samples(name, monkeypatch):
    """Believe every node to work per sample, as the list does not: only the numbers can tell."""

    def believed(rows, node):
        if node.op_type == "Reshape":
            shape = rows.array(node.input[1]).copy()
            if shape[0] == SAMPLES:
                shape[0] = 1
                node.input[1] = rows.constant(shape, "shape")
        return False

    monkeypatch.setattr("npugate.surgery.rebatch.change", believed)
    monkeypatch.setattr("npugate.surgery.rebatch.Rows.one", lambda rows, name: rows.dims(name))
    result, outcomes = outcomes_of(MIXING[name])
    assert outcomes["take-one-sample"].state == "declined"
    assert result.model is None or result.report.verification.equal


@pytest.mark.parametrize("name", PER_SAMPLE)
def test_what_works_on_each_sample_alone_is_taken_apart(name):
    model = PER_SAMPLE[name]
    copy = copy_of(model)
    result = take_one_sample.apply(copy, TARGET, RepairOptions())
    assert isinstance(result, Applied), result
    for seed in range(3):
        fed = independent(model, seed)
        (whole,) = run(model, fed)
        for index in range(SAMPLES):
            (one,) = run(copy, {key: rows[index : index + 1] for key, rows in fed.items()})
            assert one.shape[0] == 1
            np.testing.assert_allclose(
                one, whole[index : index + 1], rtol=1e-5, atol=1e-5 * np.abs(whole).max()
            )
