import pytest

from npugate import registry, target

NAMES = {rule.name for rule in registry.rules().values()}


@pytest.mark.parametrize("name", target.names())
def test_every_row_that_sets_the_level_of_a_rule_names_one_that_exists(name):
    for toolchain in target.load(name).toolchains:
        assert set(target.load(name, toolchain.version).traps) <= NAMES
