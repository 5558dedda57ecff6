"""The image's tag stands for its sources."""

from __future__ import annotations

from pathlib import Path

import pytest

import image


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with as little in it as an image can be made of."""
    (tmp_path / "operator" / "runwright" / "core").mkdir(parents=True)
    (tmp_path / "deploy").mkdir()
    for name in (
        "Dockerfile",
        "requirements.txt",
        "deploy/sbom.py",
        "operator/runwright/cli.py",
        "operator/runwright/core/reconcile.py",
    ):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(image, "REPO", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["Dockerfile", "requirements.txt", "deploy/sbom.py", "operator/runwright/core/reconcile.py"]
)
def test_a_change_of_any_source_changes_it(checkout: Path, name: str):
    before = image.reference()
    assert image.reference() == before
    (checkout / name).write_text("changed")
    assert image.reference() != before


def test_a_file_moved_changes_it(checkout: Path):
    before = image.reference()
    (checkout / "operator/runwright/cli.py").rename(checkout / "operator/runwright/main.py")
    assert image.reference() != before


def test_what_is_no_source_does_not_change_it(checkout: Path):
    before = image.reference()
    cache = checkout / "operator" / "runwright" / "__pycache__"
    cache.mkdir()
    (cache / "cli.cpython-311.pyc").write_bytes(b"\0")
    (checkout / "README.md").write_text("changed")
    assert image.reference() == before


def test_it_is_a_reference_that_a_cluster_takes(checkout: Path):
    name, _, tag = image.reference().partition(":")
    assert name == "runwright"
    assert tag.startswith("dev-")
    assert len(tag) <= 128
