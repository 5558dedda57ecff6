"""The image's tag is a hash of its sources."""

from __future__ import annotations

from pathlib import Path

import pytest

import image


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a minimum of files for the image."""
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
def test_a_change_of_any_source_changes_the_tag(checkout: Path, name: str):
    before = image.reference()
    assert image.reference() == before
    (checkout / name).write_text("changed")
    assert image.reference() != before


def test_a_moved_file_changes_the_tag(checkout: Path):
    before = image.reference()
    (checkout / "operator/runwright/cli.py").rename(checkout / "operator/runwright/main.py")
    assert image.reference() != before


def test_other_files_do_not_change_the_tag(checkout: Path):
    before = image.reference()
    cache = checkout / "operator" / "runwright" / "__pycache__"
    cache.mkdir()
    (cache / "cli.cpython-311.pyc").write_bytes(b"\0")
    (checkout / "README.md").write_text("changed")
    assert image.reference() == before


def test_the_reference_is_valid(checkout: Path):
    name, _, tag = image.reference().partition(":")
    assert name == "runwright"
    assert tag.startswith("dev-")
    assert len(tag) <= 128
