"""`python -m runwright.api.generate`: the files in the checkout are what the models give."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from runwright.api.crd import custom_resource_definition
from runwright.api.generate import CHECKOUT, CRD_FILE, REFERENCE_FILE, drift, main


def test_nothing_has_drifted():
    assert drift(CHECKOUT) == "", "run `make generate`"


def test_the_file_is_the_document():
    assert yaml.safe_load((CHECKOUT / CRD_FILE).read_text()) == custom_resource_definition()


def test_check_shows_what_differs_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--check", "--root", str(tmp_path)]) == 0
    file = tmp_path / CRD_FILE
    file.write_text(file.read_text().replace("- prun\n", "- pr\n"))
    before = file.read_text()
    capsys.readouterr()

    assert main(["--check", "--root", str(tmp_path)]) == 1

    shown = capsys.readouterr()
    changed = [line.split() for line in shown.out.splitlines() if line.startswith(("+ ", "- "))]
    assert changed == [["-", "-", "pr"], ["+", "-", "prun"]]
    assert "make generate" in shown.err
    assert file.read_text() == before


def test_a_missing_file_is_drift_and_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--check", "--root", str(tmp_path)]) == 1
    assert str(REFERENCE_FILE) in capsys.readouterr().out
    assert main(["--root", str(tmp_path)]) == 0
    assert drift(tmp_path) == ""
