"""Boards: the bundled profiles, and the compiler's pool files, from friends and from others."""

import json

import pytest

from npugate.errors import UsageError
from npugate.target import boards, mpool

KIB = 1024


def pool(name="ram", **changes):
    rights = changes.pop("rights", "ACC_WRITE")
    prop = {"rights": rights, "byteWidth": 8, "freqRatio": 1.25, **changes.pop("prop", {})}
    return {
        "name": name,
        "prop": prop,
        "offset": {"value": "0x34200000", "magnitude": "BYTES"},
        "size": {"value": "448", "magnitude": "KBYTES"},
        **changes,
    }


def file_of(*pools):
    return json.dumps({"memory": {"mempools": pools}}).encode()


def at(value):
    return {"value": value, "magnitude": "BYTES"}


def test_the_default_board_is_filled_from_the_accelerators_memories_outwards():
    board = boards.load(boards.DEFAULT_BOARD)
    assert [bank.name for bank in board.banks] == [
        *("npuRAM5", "npuRAM4", "npuRAM3", "npuRAM6", "cpuRAM2", "hyperRAM", "octoFlash")
    ]
    assert (board.on_chip_bytes, board.flash_bytes) == (2816 * KIB, 112 * KIB * KIB)
    assert [bank.cycles_per_byte for bank in board.banks[3:]] == [0.15625, 0.3125, 2.5, 6.0]


@pytest.mark.parametrize("name", boards.names())
def test_a_bundled_board_has_memories_that_lie_apart(name):
    board = boards.load(name)
    assert board.on_chip_bytes > 0
    assert board.name == name


def test_an_unknown_board_is_an_error_that_lists_them():
    with pytest.raises(UsageError, match="no board 'dk'; there are: stm32n6570-dk"):
        boards.load("dk")


def test_a_pool_file_may_have_comments_and_loose_commas(tmp_path):
    file = tmp_path / "mine.mpool"
    text = file_of(pool("ram // no comment", size=at("0x1000"))).decode()
    file.write_text("// first\n/* a\n b */" + text.replace("]", ", ] // end\n", 1))
    bank = boards.load(str(file)).banks[0]
    assert (bank.name, bank.size_bytes, bank.address) == ("ram // no comment", 4096, 0x34200000)


def test_pools_of_no_size_and_the_compilers_book_keeping_are_left_out():
    params = pool(
        "ec params", mode="USEMODE_RELATIVE", offset=at("0"), size=at("9223372036854775776")
    )
    board = mpool.parse(file_of(pool(), pool("none", size=at("0")), params), "x.mpool")
    assert [bank.name for bank in board.banks] == ["ram"]


HOSTILE = [
    (b"", "is no JSON"),
    (b"\xff\xfe{", "is no JSON"),
    (b"[" * 200_000, "nested too deeply|is no JSON"),
    (b" " * (1 << 20) + b"{}", "larger than"),
    (b"/*" * 200_000, "is no JSON"),
    (b'{"memory": NaN}', "NaN is no number"),
    (b"[]", "must be an object"),
    (b"{}", "'memory' is missing"),
    (b'{"memory": {"mempools": {}}}', "must be a list"),
    (file_of(), "no memory can be written"),
    (file_of(pool(rights="ACC_READ")), "no memory can be written"),
    (file_of(pool(rights="ACC_ALL")), "'rights' must be"),
    (file_of(pool(), pool("other")), "overlap"),
    (file_of(pool(), pool(offset=at("0x90000000"))), "two memories have the name"),
    (file_of(pool(offset=at("0xFFFFFF00"))), "ends above 4 GiB"),
    (file_of(pool(size=at("-1"))), "'value' must be a whole number"),
    (file_of(pool(size=at("1e9"))), "'value' must be a whole number"),
    (file_of(pool(size=at("9" * 400))), "'value' must be a whole number"),
    (file_of(pool(size={"value": "1", "magnitude": "GBYTES"})), "'magnitude' must be one of"),
    (file_of(pool(size=[])), "must be an object"),
    (file_of(pool(name=7)), "'name' must be a short text"),
    (file_of(pool(name="a\x1b[31m")), "'name' must be a short text"),
    (file_of(pool(name="n" * 65)), "'name' must be a short text"),
    (file_of(pool(prop={"byteWidth": 0})), "are no memory's"),
    (file_of(pool(prop={"byteWidth": True})), "'byteWidth' must be a number"),
    (file_of(pool(prop={"freqRatio": 10**30})), "'freqRatio' must be a number"),
    (file_of(pool(prop={"freqRatio": -1})), "are no memory's"),
    (file_of(*(pool(str(n)) for n in range(65))), "65 memory pools"),
]


@pytest.mark.parametrize(("data", "words"), HOSTILE, ids=[words for _, words in HOSTILE])
def test_a_pool_file_that_no_board_has_is_refused_with_its_name(data, words):
    with pytest.raises(UsageError, match=words) as caught:
        mpool.parse(data, "bad.mpool")
    assert "bad.mpool" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_missing_pool_file_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="cannot read"):
        boards.load(str(tmp_path / "none.mpool"))
