import resource
import time
import tracemalloc

import pytest

from npugate.errors import ModelError
from npugate.limits import Limits
from npugate.model.reader import holds_data, load
from npugate.model.walk import tensors_of
from tests.hostile import cases

SECONDS = 1.0  # of processor time: a busy machine must not fail the test
MEMORY_BYTES = 64 << 20
LIMITS = Limits()


@pytest.mark.parametrize("name", cases.CASES)
def test_a_hostile_file_ends_as_the_rule_that_names_it(name, tmp_path):
    case = cases.CASES[name]
    path = case.write(tmp_path)
    tracemalloc.start()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    try:
        model = load(path, "model.onnx", LIMITS)
        rules = sorted({problem.rule for problem in model.problems})
        messages = [problem.message for problem in model.problems]
        for place in tensors_of(model.proto, LIMITS):
            holds_data(place.tensor)
    except ModelError as error:
        rules, messages = [error.rule], [str(error)]
    seconds = time.process_time() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    assert rules == sorted(case.expect), messages
    assert all(0 < len(message) < 500 for message in messages)
    assert seconds < SECONDS
    assert peak < MEMORY_BYTES
    assert grown < 4 * MEMORY_BYTES


def test_there_are_enough_hostile_files():
    assert len(cases.CASES) >= 90
