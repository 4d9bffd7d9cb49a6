"""The page of a target says what its profile says."""

from pathlib import Path

import pytest

from npugate.docgen.targets import target_page
from npugate.target import profiles
from npugate.target.constraints import PREDICATES

PAGES = Path(__file__).parents[2] / "docs" / "targets"


@pytest.fixture(scope="module")
def page():
    return target_page("stm32n6")


def row(page, name):
    (found,) = [line for line in page.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in found.replace("\\|", "/").strip("|").split("|")]


def test_an_operator_has_a_cell_for_each_toolchain(page):
    assert row(page, "Conv")[1:5] == ["NPU", "NPU", "NPU\\*", "NPU\\*"]
    assert row(page, "Gather")[2] == "CPU, costly"
    assert row(page, "LayerNormalization")[2:5] == [
        "not supported", "not supported\\*", "CPU, costly",
    ]  # fmt: skip
    assert "ai.onnx.ml.SVMClassifier" in page


def test_a_limit_shows_value_level_and_source(page):
    assert row(page, "ir\\_max")[1:5] == ["9 (error)", "9 (error)", "10 (error)", "10 (error)"]
    assert row(page, "ir\\_max")[-1] == "mag: Resnet34.txt (observed); st-w4 (inferred)"


def test_a_condition_shows_its_figures_effect_and_toolchains(page):
    found = row(page, "slice-axes")
    assert found[1:5] == [
        "Slice", "it cuts count axes at once, above limit (limit 3)", "rejected (error)", "4.0",
    ]  # fmt: skip
    assert "NOT IMPLEMENTED: Slice on more than 3 dimensions" in found[5]


def test_a_memory_shows_its_size_and_address(page):
    assert row(page, "npuRAM3")[1:5] == ["448 KiB", "0x34200000", "on-chip", "0.15625"]


def test_every_operator_limit_condition_trap_and_memory_is_on_the_page():
    for name in profiles.names():
        page = target_page(name).replace("\\_", "_")
        loaded = profiles.load(name)
        keys = [op_type for _, op_type in loaded.operators]
        keys += [item.id for rows in loaded.constraints.values() for item in rows]
        keys += [*loaded.limits, *loaded.traps, *(region.name for region in loaded.regions)]
        assert [key for key in keys if f"{key} |" not in page] == []


def test_every_table_row_has_as_many_cells_as_its_head():
    for name in profiles.names():
        for block in target_page(name).split("\n\n"):
            lines = [line.replace("\\|", "") for line in block.splitlines() if line.startswith("|")]
            assert len({line.count("|") for line in lines}) <= 1


@pytest.mark.parametrize("name", profiles.names())
def test_the_page_in_the_repository_is_the_generated_one(name):
    assert (PAGES / f"{name}.md").read_text(encoding="utf-8") == target_page(name)


def test_the_guide_names_every_condition_limit_and_section():
    guide = (PAGES.parent / "writing-a-target.md").read_text(encoding="utf-8")
    rows = {line.split(" |")[0]: line for line in guide.splitlines() if line.startswith("| `")}
    for name, predicate in PREDICATES.items():
        row = rows[f"| `{name}`"]
        assert predicate.doc in row
        assert all(f"`{word}`" in row for word in (*predicate.args, *predicate.fields))
    for profile in profiles.names():
        assert [name for name in profiles.load(profile).limits if f"`{name}`" not in guide] == []
