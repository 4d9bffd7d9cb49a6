from __future__ import annotations

import pytest

from npugate.github.commands import workflow_command


@pytest.mark.parametrize(
    ("name", "message", "properties", "expected"),
    [
        ("error", "plain", {}, "::error::plain"),
        ("endgroup", "", {}, "::endgroup::"),
        ("notice", "100% a,b:c", {}, "::notice::100%25 a,b:c"),
        ("warning", "a\r\nb %0A", {}, "::warning::a%0D%0Ab %250A"),
        (
            "error",
            "m",
            {"file": "a,b:c%.py", "line": 3, "endLine": None, "title": ""},
            "::error file=a%2Cb%3Ac%25.py,line=3::m",
        ),
        ("error", "x\n::stop-commands::t", {}, "::error::x%0A::stop-commands::t"),
        (
            "error",
            "m",
            {"title": "x\r\n::add-mask::y"},
            "::error title=x%0D%0A%3A%3Aadd-mask%3A%3Ay::m",
        ),
    ],
)
def test_a_command_is_one_line_in_the_runners_grammar(name, message, properties, expected):
    assert workflow_command(name, message, **properties) == expected


@pytest.mark.parametrize(
    ("name", "properties"),
    [("error file=x", {}), ("", {}), ("a::b", {}), ("error", {"line=1,file": "x"})],
)
def test_a_name_that_would_change_the_command_is_refused(name, properties):
    with pytest.raises(ValueError, match="is no name"):
        workflow_command(name, "m", **properties)
