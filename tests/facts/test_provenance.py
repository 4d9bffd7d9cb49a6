"""The trace that an exporter leaves in a node, and what only looks like one."""

import pytest
from onnx import helper

from npugate.facts.provenance import frames
from npugate.findings.values import Frame

TRACE = """File "outer.py", line 3, in main
    net(x)
File "/src/net.py", line 62, in forward
    x = x.view(1, -1)
"""


def node(trace="", doc=""):
    made = helper.make_node("Relu", ["x"], ["y"], doc_string=doc)
    if trace:
        entry = made.metadata_props.add()
        entry.key, entry.value = "pkg.torch.onnx.stack_trace", trace
    return made


def test_a_trace_of_dynamo_is_read_from_the_inside_out():
    assert frames(node(TRACE)) == (
        Frame("/src/net.py", 62, "forward", "x = x.view(1, -1)"),
        Frame("outer.py", 3, "main", "net(x)"),
    )


def test_a_trace_of_torchscript_is_read_as_it_stands():
    found = frames(node(doc="/src/net.py(62): forward\n/src/main.py(3): main\n"))
    assert [(frame.line, frame.function) for frame in found] == [(62, "forward"), (3, "main")]


@pytest.mark.parametrize(
    "trace", ["no trace", "\n", 'File "a\nb", line 1, in f', 'File "", line 1, in f', "\0" * 100]
)
def test_what_is_no_trace_has_no_frames(trace):
    assert frames(node(trace)) == ()


def test_a_trace_without_the_text_of_its_line_has_none():
    assert frames(node('File "a.py", line 1, in f')) == (Frame("a.py", 1, "f", ""),)
