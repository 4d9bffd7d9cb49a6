"""The bundled libraries are what npm published, and their licences are there."""

import json
import shutil
from pathlib import Path

import pytest

from npugate.reporters import html
from tests.sample_report import REPORT
from tools import update_third_party

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = update_third_party.libraries()
PERMISSIVE = {"MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Apache-2.0"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_library_is_as_its_record_says(folder):
    assert update_third_party.compare(folder) == []
    origin = update_third_party.read(folder)
    assert origin.license in PERMISSIVE
    assert origin.integrity.startswith("sha512-")
    assert "LICENSE" in origin.files
    assert origin.version in origin.tarball


def test_every_folder_has_a_record():
    assert {path.name for path in update_third_party.FOLDER.iterdir() if path.is_dir()} == {
        folder.name for folder in FOLDERS
    }


def test_an_edited_an_added_and_a_missing_file_are_seen(tmp_path):
    folder = tmp_path / "uplot"
    shutil.copytree(update_third_party.FOLDER / "uplot", folder)
    (folder / "uPlot.iife.min.js").write_text("alert(1)")
    (folder / "more.js").write_text("")
    (folder / "LICENSE").unlink()
    assert [fault.split()[0] for fault in update_third_party.compare(folder)] == [
        "uplot/LICENSE",
        "uplot/more.js",
        "uplot/uPlot.iife.min.js",
    ]


def test_the_page_holds_each_licence():
    text = html.render(REPORT)
    for folder in FOLDERS:
        line = (folder / "LICENSE").read_text().strip().splitlines()[0]
        assert line in text
        assert json.loads((folder / "ORIGIN.json").read_text())["version"]
