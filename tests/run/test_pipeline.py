"""The time that a model took reaches the report that shows it."""

from xml.etree import ElementTree as ET

from onnx import parser

from npugate.cli import main

NET = """
    <ir_version: 8, opset_import: ["" : 14]>
    net (float[1, 8] x) => (float[1, 8] y) { y = Relu (x) }
"""


def test_junit_gives_the_seconds_of_each_model(tmp_path, capsys):
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(parser.parse_model(NET).SerializeToString())
    assert main(["check", str(tmp_path), "--format", "junit"]) == 0
    root = ET.fromstring(capsys.readouterr().out)  # noqa: S314  # a report that we wrote
    times = [float(suite.get("time")) for suite in root.iter("testsuite")]
    assert len(times) == 2
    assert all(0 < seconds < 60 for seconds in times)
    assert abs(float(root.get("time")) - sum(times)) < 0.002
