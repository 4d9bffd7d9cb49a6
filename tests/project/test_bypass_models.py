"""Ways by which a bad model got past the gate: names, levels, links, files that leave or hide.

Each test is a bypass that was green once. The scripts and the program run as on GitHub.
"""

import hashlib
import os

import pytest

from tests.pull_request import (
    GOOD,
    HEAD,
    Link,
    PullRequest,
    bad,
    data,
    external,
    good,
    needs_git,
    told,
)

pytestmark = needs_git

RAW = os.fsdecode(b"bad\xff.onnx")


@pytest.fixture
def request_(tmp_path, monkeypatch):
    return PullRequest(tmp_path, monkeypatch)


# --- 1: names that are no UTF-8 -------------------------------------------------------------------


@pytest.mark.parametrize("name", [RAW, f"deep/{RAW}", os.fsdecode(b"\xe4/net.onnx"), "a\nb.onnx"])
def test_a_new_model_whose_name_is_no_unicode_is_new(request_, name):
    request_.base({"good.onnx": good})
    assert request_.change({name: bad}).verdict == "fail"


def test_a_known_model_whose_name_is_no_unicode_keeps_its_base(request_):
    request_.base({RAW: bad, "good.onnx": good})
    outcome = request_.change({RAW: bad + b"\x3a\x00"})
    assert (outcome.verdict, len(outcome.paths)) == ("pass", 1)


def test_names_that_are_shown_alike_are_not_each_others_base(request_):
    request_.base({r"bad\xff.onnx": bad, "good.onnx": good})
    outcome = request_.change({RAW: bad})
    assert outcome.verdict == "fail"
    request_.change({"good.onnx": data(GOOD.replace("Relu", "Tanh"))})
    assert len(set(request_.judge(INPUT_CHANGED_ONLY="false").paths)) == 3


def test_a_renamed_model_whose_name_is_no_unicode_keeps_its_base(request_):
    request_.base({RAW: bad, "good.onnx": good})
    assert request_.change({RAW: None, "there.onnx": bad}).verdict == "pass"
    assert request_.change({"there.onnx": None, os.fsdecode(b"\xfe.onnx"): bad}).verdict == "pass"


# --- 2: levels that rise --------------------------------------------------------------------------

FLOAT = (
    HEAD
    + "net (float[1, 8, {0}, {0}] x) => (float[1, 8, {0}, {0}] y) {{ h = Exp (x)  y = Sin (h) }}"
)


def test_a_finding_that_rises_from_warning_to_error_is_new(request_):
    board = "board = 'nucleo-n657x0-q'\n"
    request_.base({"net.onnx": data(FLOAT.format(256)), "npugate.toml": board})
    outcome = request_.change({"net.onnx": data(FLOAT.format(1024))})
    assert outcome.verdict == "fail"
    assert "does-not-fit" in outcome.live("net.onnx")


def test_a_finding_that_stays_or_falls_is_old(request_):
    board = "board = 'nucleo-n657x0-q'\n"
    request_.base({"net.onnx": data(FLOAT.format(1024)), "npugate.toml": board})
    assert request_.change({"net.onnx": data(FLOAT.format(1032))}).verdict == "pass"
    assert request_.change({"net.onnx": data(FLOAT.format(256))}).verdict == "pass"


CONV = (
    HEAD
    + """net (float[1, 3, {0}, {0}] x) => (float[1, {1}, {0}, {0}] y)
    <float s = {{0.1}}, int8 z = {{1}}, int8[{1}, 3, 3, 3] w, int8 wz = {{0}}>
    {{ q = QuantizeLinear (x, s, z)
      d = DequantizeLinear (q, s, z)
      wd = DequantizeLinear (w, s, wz)
      c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (d, wd)
      cq = QuantizeLinear (c, s, z)
      y = DequantizeLinear (cq, s, z) }}"""
)


def test_a_budget_of_another_resource_is_another_finding(request_):
    budget = "[budget]\nram = '40 KiB'\nflash = '4 KiB'\n"
    request_.base({"net.onnx": data(CONV.format(64, 8)), "npugate.toml": budget})
    outcome = request_.change({"net.onnx": data(CONV.format(8, 512))})
    assert outcome.verdict == "fail"
    assert "over-budget" in outcome.live("net.onnx")


def test_a_budget_that_is_exceeded_still_is_old(request_):
    budget = "[budget]\nram = '16 KiB'\n"
    request_.base({"net.onnx": data(CONV.format(64, 8)), "npugate.toml": budget})
    assert request_.change({"net.onnx": data(CONV.format(72, 8))}).verdict == "pass"


def test_a_level_in_the_baseline_is_what_it_lets_pass(request_):
    config = "board = 'nucleo-n657x0-q'\nbaseline = 'known.json'\n"
    request_.base({"net.onnx": good, "npugate.toml": config})
    (request_.folder / "net.onnx").write_bytes(data(FLOAT.format(256)))
    request_.write_baseline("known.json", "net.onnx")
    request_.commit({"net.onnx": good})
    request_.git("checkout", "-q", "-B", "main")
    request_.git("checkout", "-q", "-B", "topic")
    assert request_.change({"net.onnx": data(FLOAT.format(256))}).verdict == "pass"
    assert request_.change({"net.onnx": data(FLOAT.format(1024))}).verdict == "fail"


# --- 3: links -------------------------------------------------------------------------------------

EXCLUDE = "exclude = ['third_party/**']\n"
STORE = {"third_party/bad.onnx": bad, "good.onnx": good, "npugate.toml": EXCLUDE}


def test_a_new_link_to_an_excluded_model_is_a_new_model(request_):
    request_.base(STORE)
    outcome = request_.change({"net.onnx": Link("third_party/bad.onnx")})
    assert (outcome.verdict, outcome.paths) == ("fail", ["net.onnx"])


def test_a_new_link_to_an_unchanged_model_is_a_new_model(request_):
    request_.base({"models/old.onnx": bad, "good.onnx": good})
    outcome = request_.change({"models/net.onnx": Link("old.onnx")})
    assert (outcome.verdict, outcome.paths) == ("fail", ["models/net.onnx"])


@pytest.mark.parametrize(
    "to", ["third_party/bad.onnx", "./x/../third_party/bad.onnx", "other.onnx"]
)
def test_a_link_that_is_retargeted_is_judged(request_, to):
    files = {"net.onnx": Link("good.onnx"), "x/y": "z", "other.onnx": Link("third_party/bad.onnx")}
    request_.base(STORE | files)
    outcome = request_.change({"net.onnx": Link(to)})
    assert (outcome.verdict, outcome.live("net.onnx")[0]) == ("fail", "batched-layer")


@pytest.mark.parametrize("hops", [{}, {"middle": Link("store/blob")}])
def test_a_link_whose_target_is_no_onnx_file_is_judged_when_that_changes(request_, hops):
    to = "middle" if hops else "store/blob"
    request_.base({"net.onnx": Link(to), "store/blob": good, **hops})
    assert request_.change({"README": "x"}).verdict == "pass"
    outcome = request_.change({"store/blob": bad})
    assert (outcome.verdict, outcome.paths) == ("fail", ["net.onnx"])


def test_a_link_to_a_bad_model_that_changes_in_nothing_is_old(request_):
    request_.base({"net.onnx": Link("store/blob"), "store/blob": bad})
    assert request_.change({"store/blob": bad + b"\x3a\x00"}).verdict == "pass"
    assert request_.judge(INPUT_CHANGED_ONLY="false").verdict == "pass"


def test_a_model_behind_a_linked_folder_that_is_retargeted_is_judged(request_):
    files = {"v1/net.onnx": good, "v2/net.onnx": bad, "current": Link("v1")}
    request_.base(files | {"npugate.toml": "exclude = ['v2/**']\n"})
    assert request_.change({"README": "x"}, INPUT_MODELS="current/*.onnx").verdict == "pass"
    outcome = request_.change({"current": Link("v2")}, INPUT_MODELS="current/*.onnx")
    assert (outcome.verdict, outcome.paths) == ("fail", ["current/net.onnx"])


def test_a_model_behind_a_linked_folder_has_a_base(request_):
    files = {"v1/net.onnx": bad, "current": Link("v1"), "good.onnx": good}
    request_.base(files)
    outcome = request_.change({"v1/net.onnx": bad + b"\x3a\x00"}, INPUT_MODELS="current/*.onnx")
    assert (outcome.verdict, outcome.paths) == ("pass", ["current/net.onnx"])
    assert request_.change({"current": Link("./v1")}, INPUT_MODELS="current").verdict == "pass"


def test_weights_behind_a_linked_folder_count(request_):
    model, weights = external("w.bin")
    request_.base({"v1/net.onnx": model, "v1/w.bin": weights, "current": Link("v1")})
    outcome = request_.change({"v1/w.bin": weights[:9]}, INPUT_MODELS="current/net.onnx")
    assert (outcome.verdict, outcome.paths) == ("fail", ["current/net.onnx"])


def test_a_link_in_a_models_place_is_judged(request_):
    request_.base(STORE)
    assert request_.change({"good.onnx": Link("third_party/bad.onnx")}).verdict == "fail"


@pytest.mark.parametrize(
    "change",
    [
        {"good.onnx": Link("other.onnx"), "other.onnx": Link("good.onnx")},
        {"new.onnx": Link("third_party")},
        {"good.onnx": Link("nowhere")},
        {"good.onnx": Link("/etc/hostname")},
        {"good.onnx": Link("npugate.toml")},
    ],
)
def test_a_link_to_no_model_is_no_pass(request_, change):
    request_.base(STORE)
    assert request_.change(change).code != 0


def test_a_link_among_what_is_excluded_is_followed_on(request_):
    files = {"net.onnx": Link("third_party/net.onnx"), "third_party/net.onnx": Link("v1.onnx")}
    request_.base(STORE | files | {"third_party/v1.onnx": good})
    outcome = request_.change({"third_party/net.onnx": Link("bad.onnx")})
    assert (outcome.verdict, outcome.paths) == ("fail", ["net.onnx"])


def test_a_folder_that_becomes_a_link_is_judged_by_where_it_leads(request_):
    request_.base(STORE | {"m/bad.onnx": good})
    request_.commit({"m/bad.onnx": None})
    (request_.folder / "m").rmdir()
    outcome = request_.change({"m": Link("third_party")}, INPUT_MODELS="m")
    assert (outcome.verdict, outcome.paths) == ("fail", ["m/bad.onnx"])
    assert "left the gate" in told(request_.judge().summary)  # of what git tracks


# --- 6: unreadable files --------------------------------------------------------------------------

GARBAGE = b"garbage, no model"


@pytest.mark.parametrize(
    "config",
    [
        "[severity]\nunreadable-model = 'note'\n",
        "[severity]\nNPU0 = 'off'\n",
        "[severity]\nNPU001 = 'warning'\n",
        "[[ignores]]\nrule = 'unreadable-model'\nreason = 'why'\n",
        "[[ignores]]\nrule = 'NPU'\nreason = 'why'\n",
        "[[ignores]]\nrule = 'lfs-pointer'\nreason = 'why'\n[severity]\nlfs-pointer = 'note'\n",
        "ignore = ['NPU0']\n",
        "select = ['NPU104']\n",
        "[[models]]\npaths = ['*']\nseverity = { NPU001 = 'note', NPU004 = 'note' }\n",
    ],
)
@pytest.mark.parametrize(
    "content",
    [GARBAGE, b"", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"],
)
def test_no_setting_lets_a_file_pass_that_cannot_be_read(request_, config, content):
    request_.base({"net.onnx": good, "npugate.toml": config})
    assert request_.change({"net.onnx": content}).verdict == "fail"


def test_a_baseline_entry_of_one_unreadable_file_is_not_that_of_another(request_):
    request_.base({"net.onnx": GARBAGE, "npugate.toml": "baseline = 'known.json'\n"})
    request_.write_baseline("known.json", "net.onnx")
    request_.commit({})
    request_.git("checkout", "-q", "-B", "main")
    request_.git("checkout", "-q", "-B", "topic")
    assert request_.change({"net.onnx": b"other garbage"}).verdict == "fail"


def test_a_base_that_cannot_be_read_excuses_no_other_file(request_):
    request_.base({"net.onnx": GARBAGE, "good.onnx": good})
    assert request_.change({"net.onnx": b"other garbage"}).verdict == "fail"


def test_a_target_cannot_lower_the_rules_of_the_run(request_):
    own = (
        "[target]\nname = 'own'\ntitle = 'Own'\nextends = 'stm32n6'\n"
        "[[traps]]\nrule = 'unreadable-model'\nseverity = 'note'\nsource = 'x'\n"
    )
    request_.base({"net.onnx": good, "own.toml": own, "npugate.toml": "target = 'own.toml'\n"})
    assert request_.change({"net.onnx": GARBAGE}).code != 0


# --- 7: another operator, another text ------------------------------------------------------------


def test_the_same_node_with_another_operator_is_another_finding(request_):
    unsupported = HEAD + "net (float[1, 4] x) => (float[1, 4] y) { y = Celu (x) }"
    request_.base({"net.onnx": data(unsupported)})
    other = unsupported.replace("Celu", "Mish").replace(": 14", ": 18")
    outcome = request_.change({"net.onnx": data(other)})
    assert outcome.verdict == "fail"


KERNEL = """net (float[1, 3, 16, 16] x) => (float[1, 4, 16, 16] y)
    <float[4, 3, 5, 5] w> { y = Conv <pads = [2, 2, 2, 2]> (x, w) }"""
STRIDE = """net (float[1, 3, 16, 16] x) => (float[1, 4, 6, 6] y)
    <float[4, 3, 3, 3] w> { y = Conv <pads = [1, 1, 1, 1], strides = [3, 3]> (x, w) }"""


def test_the_same_node_that_breaks_another_limit_is_another_finding(request_):
    config = "select = ['NPU203']\n[severity]\noperator-constraint = 'error'\n"
    request_.base({"net.onnx": data(HEAD + KERNEL), "npugate.toml": config})
    larger = KERNEL.replace("5, 5]", "7, 7]").replace("2, 2, 2, 2", "3, 3, 3, 3")
    assert request_.change({"net.onnx": data(HEAD + STRIDE)}).verdict == "fail"
    found = request_.change({"net.onnx": data(HEAD + larger)})
    rows = found.report["models"][0]["findings"]
    assert [f["suppressed"] for f in rows if "conv-kernel:" in f["message"]] == [True]


# --- 8: external data by another spelling ---------------------------------------------------------


@pytest.mark.parametrize(
    "location",
    ["sub/./w.bin", "./sub/w.bin", "sub//w.bin", "sub/././/w.bin", "sub/w.bin/.", "sub/w.bin/"],
)
@pytest.mark.parametrize("left", [None, b"short", Link("other.bin")])
def test_weights_are_found_however_they_are_spelled(request_, location, left):
    model, weights = external(location)
    request_.base({"net.onnx": model, "sub/w.bin": weights, "sub/other.bin": weights})
    outcome = request_.change({"sub/w.bin": left})
    assert (outcome.verdict, outcome.paths) == ("fail", ["net.onnx"])


@pytest.mark.parametrize("location", ["sub/./w.bin", "sub//w.bin"])
def test_weights_of_another_spelling_have_a_base(request_, location):
    model, weights = external(location)
    request_.base({"net.onnx": model, "sub/w.bin": weights})
    assert request_.change({"sub/w.bin": weights[::-1]}).verdict == "pass"
    assert request_.change({"net.onnx": model + b"\x3a\x00"}).verdict == "pass"


@pytest.mark.parametrize("location", ["w.onnx", "./w.onnx"])
def test_weights_that_are_called_a_model_count_too(request_, location):
    model, weights = external(location)
    config = {"npugate.toml": "exclude = ['**/w.onnx']\n"}
    request_.base({"x/net.onnx": model, "x/w.onnx": weights, **config})
    assert request_.change({"x/w.onnx": weights[::-1]}).verdict == "pass"
    outcome = request_.change({"x/w.onnx": weights[:7]})
    assert (outcome.verdict, outcome.paths) == ("fail", ["x/net.onnx"])


# --- what a checkout makes of a file --------------------------------------------------------------

FILTERED = "*.onnx filter=store\n"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n"


@pytest.mark.parametrize("folder", ["", "m/"])
def test_attributes_that_have_pointers_checked_out_are_a_change(request_, folder):
    """As a change does that takes a model out of the hands of Git LFS."""
    pointer = POINTER.format(hashlib.sha256(good).hexdigest(), len(good)).encode()
    request_.base({"m/net.onnx": pointer, f"{folder}.gitattributes": FILTERED})
    (request_.folder / "m/net.onnx").write_bytes(good)
    request_.git("update-index", "--assume-unchanged", "m/net.onnx")
    request_.commit({f"{folder}.gitattributes": FILTERED + "# x\n"})
    assert request_.judge().verdict == "pass"
    (request_.folder / "m/net.onnx").write_bytes(pointer)
    request_.commit({f"{folder}.gitattributes": ""})
    outcome = request_.judge()
    assert (outcome.verdict, outcome.live("m/net.onnx")) == ("fail", ["lfs-pointer"])


def test_a_model_of_git_lfs_that_stays_what_it_is_has_itself_for_a_base(request_):
    pointer = POINTER.format(hashlib.sha256(bad).hexdigest(), len(bad)).encode()
    request_.base({"net.onnx": pointer, "w.bin": "x"})
    (request_.folder / "net.onnx").write_bytes(bad)
    request_.git("update-index", "--assume-unchanged", "net.onnx")
    outcome = request_.change({".gitattributes": FILTERED})
    assert (outcome.verdict, outcome.paths) == ("pass", ["net.onnx"])
    assert not outcome.report["notices"]
