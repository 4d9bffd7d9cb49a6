"""Lines for whoever runs the program."""

import subprocess
import sys

import pytest

SAY = "log.debug('a detail'); log.warning('50 % of\\nit'); log.error('a fault')"


@pytest.mark.parametrize("verbose", [False, True])
def test_a_line_says_whose_it_is_and_details_are_told_on_demand(verbose):
    code = f"import sys; from npugate import log; log.set_up(sys.stderr, verbose={verbose}); {SAY}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    details = "npugate: a detail\n" if verbose else ""
    assert ran.stderr == f"{details}npugate: 50 % of\n  it\nnpugate: a fault\n"
    assert ran.stdout == ""


def test_a_detail_that_nobody_wants_loads_nothing():
    code = "import sys; from npugate import log; log.debug('x'); print('logging' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
