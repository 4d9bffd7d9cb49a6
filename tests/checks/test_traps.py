import pytest

from npugate.rules import registry
from npugate.target import profiles

NAMES = {rule.name for rule in registry.rules().values()}


@pytest.mark.parametrize("name", profiles.names())
def test_every_row_that_sets_the_level_of_a_rule_names_one_that_exists(name):
    for toolchain in profiles.load(name).toolchains:
        assert set(profiles.load(name, toolchain.version).traps) <= NAMES
