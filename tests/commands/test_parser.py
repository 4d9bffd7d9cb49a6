"""A command line that is made for one command alone."""

import pytest

from npugate.commands.parser import parser


def _commands(parser):
    return parser._subparsers._group_actions[0].choices


@pytest.mark.parametrize("name", _commands(parser()))
def test_a_command_line_made_for_one_command_is_the_same_for_it(name):
    whole, one = parser(), parser(name)
    assert one.format_help() == whole.format_help()
    assert _commands(one)[name].format_help() == _commands(whole)[name].format_help()
    others = [len(p._actions) for n, p in _commands(one).items() if n != name]
    assert set(others) == {1}  # --help
