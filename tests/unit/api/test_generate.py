"""`python -m runwright.api.generate`: the files in the checkout are up to date."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from runwright.api.crd import custom_resource_definition
from runwright.api.generate import CHECKOUT, crd_file, find_drift, generate_files, reference_file, write_or_check
from runwright.api.kinds import KINDS, PIPELINE_RUN, Kind


def test_nothing_has_drifted():
    assert find_drift(CHECKOUT) == "", "run `make generate`"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_file_is_the_document(kind: Kind):
    assert yaml.safe_load((CHECKOUT / crd_file(kind)).read_text()) == custom_resource_definition(kind)


def test_every_kind_has_its_files_and_there_are_no_others():
    assert set(generate_files()) == {file for kind in KINDS for file in (crd_file(kind), reference_file(kind))}
    assert {file.name for file in (CHECKOUT / "docs/reference").iterdir()} == {reference_file(k).name for k in KINDS}


def test_kustomize_and_the_chart_install_every_crd():
    names = sorted(crd_file(kind).name for kind in KINDS)
    assert sorted(yaml.safe_load((CHECKOUT / "crds/kustomization.yaml").read_text())["resources"]) == names
    assert sorted(file.name for file in (CHECKOUT / "crds").glob("*.dev_*.yaml")) == names
    links = list((CHECKOUT / "charts/runwright/files").glob("*.dev_*.yaml"))
    assert sorted(link.name for link in links) == names
    assert all(link.is_symlink() and link.resolve() == CHECKOUT / "crds" / link.name for link in links)


def test_check_shows_what_differs_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert write_or_check(["--root", str(tmp_path)]) == 0
    assert write_or_check(["--check", "--root", str(tmp_path)]) == 0
    file = tmp_path / crd_file(PIPELINE_RUN)
    file.write_text(file.read_text().replace("- prun\n", "- pr\n"))
    before = file.read_text()
    capsys.readouterr()

    assert write_or_check(["--check", "--root", str(tmp_path)]) == 1

    shown = capsys.readouterr()
    changed = [line.split() for line in shown.out.splitlines() if line.startswith(("+ ", "- "))]
    assert changed == [["-", "-", "pr"], ["+", "-", "prun"]]
    assert "make generate" in shown.err
    assert file.read_text() == before


def test_a_missing_file_is_drift_and_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert write_or_check(["--check", "--root", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert all(str(reference_file(kind)) in shown for kind in KINDS)
    assert write_or_check(["--root", str(tmp_path)]) == 0
    assert find_drift(tmp_path) == ""
