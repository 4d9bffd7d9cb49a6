"""Memory on small models: how parameters are packed, what is alive when, and the verdict."""

import io
import json

import pytest
from msgspec.structs import replace

from npugate.commands import dispatch
from npugate.console import Console
from npugate.estimate import assemble
from npugate.estimate.compiled_graph import Fate, compile_graph
from npugate.estimate.memory import plan
from npugate.estimate.parameters import parameter_bytes
from npugate.estimate.placement import place
from npugate.estimate.writing import writing_epochs
from npugate.facts import Facts
from npugate.limits import Limits
from npugate.model.reader import load
from npugate.report.estimate import Engine, Epoch, Fit
from npugate.rules import testing
from npugate.target import boards, profiles

HEAD = '<ir_version: 10, opset_import: ["" : 21]> net '
DK = boards.load("stm32n6570-dk")


def facts_of(text, folder):
    file = folder / "model.onnx"
    file.write_bytes(testing.model_from_text(HEAD + text).SerializeToString())
    return Facts(load(file, file.name, Limits()))


def graph_of(facts, toolchain="4.0"):
    return compile_graph(facts, replace(profiles.load("stm32n6"), toolchain=toolchain))


def planned(facts, board=DK, toolchain="4.0"):
    graph = graph_of(facts, toolchain)
    return plan(graph, place(graph), board)


def kinds(facts, toolchain="4.0"):
    """Return the operators of each epoch that writes to memory."""
    return [[o.kind for o in e.operators] for e in writing_epochs(graph_of(facts, toolchain))]


def conv(weight, *, size=8, group=1, strides=1, kind="int8", per_channel=True):
    """Return a quantised convolution; its input has the channels that the weight wants."""
    out, inner, kh, kw = weight
    dims = ", ".join(map(str, weight))
    scale = f"[{out}]" if per_channel else ""
    to = size // strides
    pads = f"{kh // 2}, {kw // 2}, {kh // 2}, {kw // 2}"
    return f"""
        (float[1, {inner * group}, {size}, {size}] x) => (float[1, {out}, {to}, {to}] y)
        <float s = {{0.1}}, int8 z = {{1}}, {kind}[{dims}] w, float{scale} ws, {kind}{scale} wz>
        {{ q = QuantizeLinear (x, s, z)
          d = DequantizeLinear (q, s, z)
          wd = DequantizeLinear <axis = 0> (w, ws, wz)
          c = Conv <kernel_shape = [{kh}, {kw}], strides = [{strides}, {strides}],
                    pads = [{pads}], group = {group}> (d, wd)
          cq = QuantizeLinear (c, s, z)
          y = DequantizeLinear (cq, s, z) }}
    """


FLOAT = """(float[1, 4, 8, 8] x) => (float[1, 2, 8, 8] y) <float[2, 4, 1, 1] w, float[2] b>
    { y = Conv (x, w, b) }"""
TABLE = """(float[1, 4] x) => (float[4, 1] y) <int64[2] shape = {4, 1}, float[4] t>
    { h = Add (x, t)  y = Reshape (h, shape) }"""
TRANSPOSED = """(float[1, 4, 8, 8] x) => (float[1, 2, 16, 16] y)
    <float s = {0.1}, int8 z = {1}, int8[4, 2, 2, 2] w>
    { q = QuantizeLinear (x, s, z)
      d = DequantizeLinear (q, s, z)
      wd = DequantizeLinear (w, s, z)
      y = ConvTranspose <kernel_shape = [2, 2], strides = [2, 2]> (d, wd) }"""
TWICE = """(float[1, 4] x) => (float[1, 4] y) <float[1, 4] t> { h = Add (x, t)  y = Mul (h, t) }"""
PACKED = [
    ("a table that two nodes read", TWICE, "4.0", 16),
    ("plain weights", conv((16, 8, 3, 3)), "4.0", 16 * 8 * 9),
    ("two to a byte", conv((16, 8, 3, 3), kind="int4"), "4.0", 16 * 8 * 9 // 2),
    ("scales and biases", conv((16, 8, 3, 3)), "2.2", 16 * 8 * 9 + 6 * 16),
    ("one scale", conv((16, 8, 3, 3), per_channel=False), "2.2", 16 * 8 * 9 + 4 * 16),
    ("depthwise, blown up", conv((16, 1, 3, 3), group=16), "2.1", 16 * 8 * 9),
    ("depthwise, small", conv((16, 1, 3, 3), group=16), "4.0", 16 * 9),
    ("depthwise, wide", conv((16, 1, 3, 3), group=16, size=32), "4.0", 16 * 8 * 9),
    ("depthwise 5x5", conv((16, 1, 5, 5), group=16, size=32), "2.1", 16 * 25),
    ("more than 512 channels", conv((576, 2, 1, 1)), "4.0", 576 * 2 + 2 * 576 * 8 * 2),
    ("the same, one scale", conv((576, 2, 1, 1), per_channel=False), "4.0", 576 * (2 + 8 * 2)),
    ("float weights", FLOAT, "4.0", 4 * (8 + 2)),
    ("shapes are no parameters, tables are", TABLE, "4.0", 16),
    ("zeros of a strided transposed convolution", TRANSPOSED, "4.0", 4 * 2 * 2 * 2 + 4 * 8 * 8),
]


@pytest.mark.parametrize(("title", "text", "toolchain", "size"), PACKED, ids=lambda v: str(v)[:30])
def test_parameters_are_counted_as_the_compiler_packs_them(title, text, toolchain, size, tmp_path):
    assert parameter_bytes(facts_of(text, tmp_path), toolchain) == size, title


def test_a_view_is_the_memory_of_what_it_views(tmp_path):
    text = """(float[1, 4, 8, 8] x) => (float[1, 256] y) <int64[2] shape = {1, 256}>
        { h = Exp (x)  v = Reshape (h, shape)  y = Sin (v) }"""
    found = planned(facts_of(text, tmp_path))
    assert [(b.tensor, b.first, b.last) for b in found.buffers] == [
        ("x", -1, 0),
        ("h", 0, 1),
        ("y", 1, 1),
    ]
    assert (found.live, found.lower_bound, found.peak) == ((2048, 2048), 2048, 0)


def test_an_output_stays_to_the_end_and_a_branch_until_it_is_read(tmp_path):
    text = """(float[1, 8] x) => (float[1, 8] a, float[1, 8] d)
        { a = Exp (x)  b = Sin (x)  c = Cos (b)  d = Add (c, x) }"""
    found = assemble.memory(facts_of(text, tmp_path), profiles.load("stm32n6"))
    lives = {b.tensor: (b.first, b.last) for b in found.buffers}
    assert lives == {"x": (-1, 3), "a": (0, 3), "b": (1, 2), "c": (2, 3), "d": (3, 3)}
    assert found.live == (64, 96, 128, 128)
    assert [b.tensor for b in found.alive] == ["a", "b", "c", "x"]


def test_on_the_cpu_an_activation_function_works_in_place(tmp_path):
    text = "(float[1, 8] x) => (float[1, 8] y) { h = Exp (x)  y = Sigmoid (h) }"
    found = planned(facts_of(text, tmp_path))
    assert next(b for b in found.buffers if b.tensor == "y").shares == "h"
    pooled = planned(
        facts_of(quantized("g = MaxPool <kernel_shape = [1, 1]> (d)" + AFTER), tmp_path)
    )
    assert not any(b.shares for b in pooled.buffers)


def quantized(body, shape="1, 8, 16, 16"):
    """Return a model that quantises its input to ``d`` and its result ``r`` to ``y``."""
    return f"""(float[{shape}] x) => (float[{shape}] y)
        <float s = {{0.1}}, int8 z = {{1}}, float[4] up = {{1.0, 1.0, 2.0, 2.0}}>
        {{ q = QuantizeLinear (x, s, z)  d = DequantizeLinear (q, s, z) {body}
          rq = QuantizeLinear (r, s, z)  y = DequantizeLinear (rq, s, z) }}"""


AFTER = """ gq = QuantizeLinear (g, s, z)  gd = DequantizeLinear (gq, s, z)  r = Relu (gd)"""
GATE = """g = Sigmoid (d)  gq = QuantizeLinear (g, s, z)  gd = DequantizeLinear (gq, s, z)
    r = Mul (d, gd)"""
KIB2 = 8 * 16 * 16  # one int8 tensor


@pytest.mark.parametrize(
    ("body", "toolchain", "own"),
    [
        (GATE, "3.0", [2 * KIB2]),
        (GATE, "4.0", []),
        ("r = Add (d, d)", "3.0", []),
        ("r = Resize <mode = 'nearest'> (d, , up)", "3.0", [4 * KIB2]),
    ],
)
def test_what_the_compiler_writes_in_between_is_counted(body, toolchain, own, tmp_path):
    facts = facts_of(quantized(body.replace("'", '"')), tmp_path)
    found = planned(facts, toolchain=toolchain)
    assert [b.size_bytes for b in found.buffers if "#" in b.tensor] == own


def test_a_float_operator_between_quantised_ones_works_on_floats(tmp_path):
    found = planned(facts_of(quantized("k = Abs (d)  r = Exp (k)"), tmp_path))
    own = [b for b in found.buffers if "#" in b.tensor]
    assert [(b.tensor, b.size_bytes) for b in own] == [
        (f"{name}#float", 4 * KIB2) for name in ("d", "k", "r")
    ]


CHAIN = """(float[1, 4, 16, 16] x) => (float[1, 8, 8, 8] y)
    <float s = {0.1}, int8 z = {1}, int8[8, 4, 3, 3] w>
    { q = QuantizeLinear (x, s, z)  d = DequantizeLinear (q, s, z)
      wd = DequantizeLinear (w, s, z)
      c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (d, wd)
      r = Relu (c)
      rq = QuantizeLinear (r, s, z)  rd = DequantizeLinear (rq, s, z)
      p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (rd)
      pq = QuantizeLinear (p, s, z)  y = DequantizeLinear (pq, s, z) }"""


def test_a_pool_and_a_function_belong_to_the_convolution_before_them(tmp_path):
    assert kinds(facts_of(CHAIN, tmp_path)) == [["Conv", "Relu", "MaxPool"]]
    twice = CHAIN.replace("(float[1, 8, 8, 8] y)", "(float[1, 8, 8, 8] y, float[1, 8, 16, 16] rd)")
    assert kinds(facts_of(twice, tmp_path)) == [["Conv", "Relu"], ["MaxPool"]]


def test_what_becomes_of_each_node_is_said_once(tmp_path):
    graph = graph_of(facts_of(CHAIN, tmp_path))
    fates = {item.node.label: item.fate for item in graph.nodes}
    assert fates == {
        **dict.fromkeys(("q", "d", "rq", "rd", "pq", "y"), Fate.CONVERSION),
        "wd": Fate.CONSTANT,
        "c": Fate.OWN,
        "r": Fate.FUSED,
        "p": Fate.FUSED,
    }
    assert {item.lead.label for item in graph.running()} == {"c"}
    assert [len(epoch.operators) for epoch in place(graph)] == [3]


def test_a_float_operator_has_epochs_of_its_own_in_every_part_of_the_model(tmp_path):
    text = """(float[1, 4, 16, 16] x) => (float[1, 8, 8, 8] y) <float[8, 4, 3, 3] w>
        { c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w)  r = Relu (c)
          y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r) }"""
    facts = facts_of(text, tmp_path)
    assert kinds(facts) == [["Conv"], ["Relu"], ["MaxPool"]]
    assert [len(epoch.operators) for epoch in place(graph_of(facts))] == [1] * 3


def test_what_is_done_in_float_needs_nothing_beside_it(tmp_path):
    text = """(float[1, 2, 4, 4] x) => (float[1, 2, 8, 8] y) <float[4] up = {1.0, 1.0, 2.0, 2.0}>
        { y = Resize <mode = "nearest"> (x, , up) }"""
    assert [b.tensor for b in planned(facts_of(text, tmp_path)).buffers] == ["x", "y"]


def test_the_result_speaks_of_the_epochs_as_placed(tmp_path):
    text = "(float[1, 8] x) => (float[1, 8] y) { h = Exp (x)  i = Sin (h)  y = Cos (i) }"
    graph = graph_of(facts_of(text, tmp_path))
    one, two, three = place(graph)
    joined = replace(two, operators=(*two.operators, *three.operators))
    empty = Epoch(1, Engine.NPU, ())
    found = plan(graph, (one, empty, replace(joined, index=2)), DK)
    lives = {b.tensor: (b.first, b.last) for b in found.buffers}
    assert lives == {"x": (-1, 0), "h": (0, 2), "i": (1, 2), "y": (2, 2)}
    assert (found.live, found.lower_bound) == ((64, 64, 64), 64)


def test_epochs_that_are_computed_as_one_need_the_memory_of_all(tmp_path):
    text = CHAIN.replace("y = Deq", "pd = Deq").replace(
        "z) }", "z)  u = Exp (pd)  uq = QuantizeLinear (u, s, z)  y = DequantizeLinear (uq, s, z) }"
    )
    graph = graph_of(facts_of(text, tmp_path))
    together, last = place(graph)
    apart = [
        replace(together, index=at, operators=(operator,))
        for at, operator in enumerate(together.operators)
    ]
    found = plan(graph, (*apart, replace(last, index=3)), DK)
    together_bytes, last_bytes = 4 * 256 + 8 * 64, 2 * 8 * 64
    assert found.live == (together_bytes,) * 3 + (last_bytes,)
    assert (found.peak, [b.tensor for b in found.alive]) == (0, ["x", "p"])


@pytest.mark.parametrize(
    ("kernel", "stride", "sums"),
    [((3, 3), 1, 0), ((5, 5), 1, 0), ((7, 7), 2, 3), ((7, 7), 1, 5)],
)
def test_a_large_kernel_needs_memory_for_its_partial_sums(kernel, stride, sums, tmp_path):
    size = 16 // stride
    facts = facts_of(conv((8, 3, *kernel), size=16, strides=stride), tmp_path)
    found = planned(facts)
    own = [b for b in found.buffers if "#" in b.tensor]
    assert [b.size_bytes for b in own] == [2 * 8 * size * size] * sums
    apart = max(16 * 16 * 3, 8 * size * size)  # a step for the sums, then one for the result
    together = 16 * 16 * 3 + 8 * size * size
    assert found.lower_bound == (apart if sums else together)
    last = len(place(graph_of(facts))) - 1
    assert all((b.first, b.last) == (0, last) for b in own)


@pytest.mark.parametrize(
    ("channels", "board", "fit"),
    [
        (16, "stm32n6570-dk", Fit.FITS),
        (19, "stm32n6570-dk", Fit.MAY_SPILL),  # within a fifth of all that is on the chip
        (22, "stm32n6570-dk", Fit.MAY_SPILL),  # the plan leaves the chip
        (40, "stm32n6570-dk", Fit.SPILLS),
        (22, "stm32n6570-dk-npuram", Fit.SPILLS),
        (40, "nucleo-n657x0-q", Fit.DOES_NOT_FIT),
        (600, "stm32n6570-dk", Fit.DOES_NOT_FIT),
    ],
)
def test_the_verdict_is_about_the_board(channels, board, fit, tmp_path):
    shape = f"float[1, {channels}, 128, 128]"
    facts = facts_of(f"({shape} x) => ({shape} y) {{ y = Sin (x) }}", tmp_path)
    assert planned(facts, boards.load(board)).fit is fit


def test_without_flash_the_weights_take_ram(tmp_path):
    facts = facts_of(conv((64, 64, 3, 3)), tmp_path)
    board = boards.load("stm32n6570-dk-noextmem")
    found = planned(facts, board)
    assert sum(pool.weight_bytes for pool in found.pools) == 64 * 64 * 9
    flash = planned(facts)
    assert {p.name: p.weight_bytes for p in flash.pools if p.weight_bytes} == {
        "octoFlash": 64 * 64 * 9
    }


def test_a_model_without_shapes_or_for_another_chip_is_not_estimated(tmp_path):
    open_shape = facts_of("(float[1, N] x) => (float[1, N] y) { y = Sin (x) }", tmp_path)
    assert assemble.memory(open_shape, profiles.load("stm32n6")) is None
    closed = facts_of("(float[1, 8] x) => (float[1, 8] y) { y = Sin (x) }", tmp_path)
    assert assemble.memory(closed, profiles.load("stm32h7")) is None
    assert assemble.memory(closed, profiles.load("stm32n6")) is not None


def test_a_shape_beyond_all_numbers_is_judged_all_the_same(tmp_path):
    dims = ", ".join(["9223372036854775807"] * 40)
    facts = facts_of(f"(float[{dims}] x) => (float[{dims}] y) {{ y = Sin (x) }}", tmp_path)
    found = assemble.memory(facts, profiles.load("stm32n6"))
    assert found.fit is Fit.DOES_NOT_FIT


BIG = """<ir_version: 8, opset_import: ["" : 13]>
    net (float[1, 16, 64, 64] x) => (float[1, 16, 64, 64] y) { y = Exp (x) }"""
POOLS = [
    {
        "name": "tiny",
        "prop": {"rights": "ACC_WRITE", "byteWidth": 8, "freqRatio": 1.25},
        "offset": {"value": "0x34200000", "magnitude": "BYTES"},
        "size": {"value": "100", "magnitude": "KBYTES"},
    }
]


def checked(folder, *arguments, config=""):
    """Return the exit status and the findings of the rules about memory."""
    (folder / "npugate.toml").write_text(config)
    (folder / "boards").mkdir()
    mpool = json.dumps({"memory": {"mempools": POOLS}})
    (folder / "boards/tiny.mpool").write_text(mpool)
    (folder / "boards/mid.mpool").write_text(mpool.replace("100", "300"))
    (folder / "big.onnx").write_bytes(testing.model_from_text(BIG).SerializeToString())
    out, err = io.StringIO(), io.StringIO()
    given = ("check", "big.onnx", "--format=json", *arguments)
    status = dispatch.run(given, Console({}, out, err))
    if status == 2:
        return status, err.getvalue()
    found = json.loads(out.getvalue())["models"][0]["findings"]
    return status, [(f["rule"], f["message"]) for f in found if f["rule"].startswith("NPU4")]


def test_a_pool_file_is_found_from_the_folder_of_the_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/own.toml").write_text('board = "../boards/tiny.mpool"')
    status, found = checked(tmp_path, "--config=conf/own.toml")
    assert (status, [rule for rule, _ in found]) == (1, ["NPU401"])


@pytest.mark.parametrize(
    ("config", "arguments", "status", "findings"),
    [
        ("", (), 0, []),
        (
            '[budget]\nram = "512 KiB"',
            (),
            0,
            [("NPU403", "of RAM, likely 512.0 KiB; the budget is")],
        ),
        ('[budget]\nram = "400 KiB"', (), 1, [("NPU403", "needs 512.0 KiB of RAM, the budget")]),
        ('[budget]\nram = "1 MiB"', (), 0, []),
        (
            '[budget]\nlatency = "1 ms"',
            (),
            0,
            [("NPU403", "may need 1.27 ms, likely 0.582 ms; the budget is 1 ms")],
        ),
        (
            '[[models]]\npaths = ["big.onnx"]\nbudget = { ram = "100 KiB" }',
            (),
            1,
            [("NPU403", "needs 512.0 KiB of RAM, the budget is 100.0 KiB")],
        ),
        ('board = "boards/tiny.mpool"', (), 1, [("NPU401", "needs at least 512.0 KiB of RAM")]),
        ("", ("--board=boards/tiny.mpool",), 1, [("NPU401", "needs at least 512.0 KiB of RAM")]),
        ('board = "boards/mid.mpool"', (), 0, [("NPU401", "as int8 it takes a quarter")]),
        ('board = "boards/tiny.mpool"', ("--board=nucleo-n657x0-q",), 0, []),
        ("", ("--board=none",), 2, "no board 'none'"),
        ('[budget]\nram = "lots"', (), 2, "budget: 'ram' must be a size such as"),
    ],
)
def test_boards_and_budgets_gate_the_check(
    config, arguments, status, findings, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    ended, found = checked(tmp_path, *arguments, config=config)
    assert ended == status, found
    if status == 2:
        assert findings in found
        return
    assert [rule for rule, _ in found] == [rule for rule, _ in findings]
    for (_, message), (_, words) in zip(found, findings, strict=True):
        assert words in message
