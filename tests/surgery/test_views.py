import pytest

from npugate.rules.testing import model_from_text
from npugate.surgery.draft import Draft
from npugate.surgery.lineage import Lineage
from npugate.surgery.views import fuse

HEAD = '<ir_version: 8, opset_import: ["" : 14]> net (float[1, 24] x) => (float[1, 24] y) '
SHAPES = "<int64[2] flat = {1, 24}, int64[3] cube = {2, 3, 4}, int64[3] other = {4, 3, 2}> "

CASES = {
    "a chain is one": (("a = Reshape (x, cube) b = Reshape (a, other) c = Relu (b)"
                       "y = Reshape (c, flat)"), ["Reshape", "Relu", "Reshape"]),
    "there and back is none": ("a = Reshape (x, cube) b = Reshape (a, flat) y = Relu (b)",
                               ["Relu"]),
    "the model's output is made by what made its elements": (
        "a = Relu (x) b = Reshape (a, cube) y = Reshape (b, flat)", ["Relu"]),
    "twins are one": (("a = Reshape (x, cube) b = Reshape (x, cube) c = Add (a, b)"
                      "y = Reshape (c, flat)"), ["Reshape", "Add", "Reshape"]),
    "a reader of the middle keeps it": (
        ("a = Reshape (x, cube) r = Relu (a) b = Reshape (a, flat) c = Reshape (r, flat)"
        "y = Add (b, c)"), ["Reshape", "Relu", "Reshape", "Add"]),
    "what nothing reads goes": ("a = Reshape (x, cube) b = Relu (a) y = Abs (x)", ["Abs"]),
    "an output that is a view stays one": ("a = Reshape (x, cube) y = Reshape (a, flat)",
                                           ["Reshape"]),
}  # fmt: skip


def draft(body, text=HEAD + SHAPES):
    model = model_from_text(text + "{ " + body + " }")
    for index, node in enumerate(model.graph.node):
        node.name = f"n{index}"
    return Draft(model)


@pytest.mark.parametrize("name", CASES)
def test_reshapes_are_fused_to_the_fewest(name):
    body, left = CASES[name]
    made = draft(body)
    fuse(made)
    assert [node.op for node in made.nodes] == left
    fuse(made)
    assert [node.op for node in made.nodes] == left


def test_a_constant_gets_the_shape_itself():
    made = draft(
        "k = Reshape (w, cube) a = Reshape (x, cube) b = Add (a, k) y = Reshape (b, flat)",
        HEAD + SHAPES.replace("int64[2] flat", "float[24] w, int64[2] flat"),
    )
    fuse(made)
    assert [node.op for node in made.nodes] == ["Reshape", "Add", "Reshape"]
    assert made.dims(made.nodes[1].inputs[1]) == (2, 3, 4)


def test_zero_and_minus_one_mean_the_same_behind_another_input():
    text = HEAD + "<int64[3] cube = {2, 3, 4}, int64[3] open = {0, -1, 2}> "
    made = draft("a = Reshape (x, cube) b = Reshape (a, open) c = Relu (b) y = Abs (x)", text)
    made.graph.outputs[0].name = "y"
    fuse(made)
    assert [node.op for node in made.nodes] == ["Abs"]
    made = draft(
        "a = Reshape (x, cube) b = Reshape (a, open) c = Relu (b) y = Reshape (c, flat)",
        HEAD + "<int64[3] cube = {2, 3, 4}, int64[3] open = {0, -1, 2}, int64[2] flat = {1, 24}> ",
    )
    fuse(made)
    assert made.ints(made.nodes[0].inputs[1]) == [2, 6, 2]


def test_it_is_noted_whose_elements_a_tensor_has():
    lineage = Lineage(frozenset({"a", "b"}))
    lineage.join("a", "new")
    lineage.join("new", "newer")
    assert [lineage.of(name) for name in ("a", "new", "newer", "x")] == ["a", "a", "a", None]
    lineage.join("a", "b")
    assert lineage.of("b") == "b"
