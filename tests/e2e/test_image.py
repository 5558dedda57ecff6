"""The operator's image: the same sources give the same bytes, it says what is in it, and it needs no shell."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from localcluster import host
from localcluster.paths import cache_root

import image
from tests.e2e.conftest import REPOSITORY

pytestmark = pytest.mark.apart

SHELLS = re.compile(r"(?:usr/)?bin/(?:sh|bash|dash|busybox|rbash)$")


@pytest.fixture(scope="module")
def archive() -> Path:
    """The image that is deployed, as an archive."""
    if host.docker_answers()[0]:
        pytest.skip("Docker builds here; what buildah makes of the Dockerfile is looked at")
    return image.ensure_built()[1]


def manifest(archive: Path) -> dict[str, Any]:
    """Config, which holds the digests of all layers, and layers, each named by its digest."""
    with tarfile.open(archive) as tar:
        (found,) = json.load(tar.extractfile("manifest.json") or pytest.fail("no manifest"))
    return {"Config": found["Config"], "Layers": found["Layers"]}


def test_image_builds_are_reproducible(archive: Path, tmp_path: Path):
    """Built once more with no layer of the first time."""
    again = tmp_path / "again.tar"
    image.build_with_buildah("runwright:again", again, cache_root() / "operator-image", use_layers=False)
    assert manifest(again) == manifest(archive)


def test_image_has_a_bill_of_materials(archive: Path):
    # These imports take seconds, and every worker collects every test.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = image.bill_of_materials(archive)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    components = {one["purl"]: one for one in json.loads(text)["components"]}
    pins = dict(re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", (REPOSITORY / "requirements.txt").read_text(), re.MULTILINE))
    installed = {one["name"]: one["version"] for purl, one in components.items() if purl.startswith("pkg:pypi/")}
    assert installed.items() <= pins.items()
    # What is left out is for other systems or Pythons.
    assert len(installed) > 35
    assert {name for name in pins if name not in installed} <= {
        "colorama",
        "typing-extensions",
        "exceptiongroup",
        "tzdata",
    }
    assert any(purl.startswith("pkg:deb/debian/python3") for purl in components)
    assert importlib.metadata.version("runwright") == json.loads(text)["metadata"]["component"]["version"]


def test_image_runs_as_user_65532_without_a_shell(archive: Path, tmp_path: Path):
    """Its command is a program of its own: it starts in a tree from which every shell was taken."""
    root = tmp_path / "root"
    with tarfile.open(archive) as outer:
        (found,) = json.load(outer.extractfile("manifest.json") or pytest.fail("no manifest"))
        config = json.load(outer.extractfile(found["Config"]) or pytest.fail("no config"))["config"]
        for layer in found["Layers"]:
            with tarfile.open(fileobj=outer.extractfile(layer)) as inner:
                inner.extractall(root, filter="tar")
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["runwright"]
    for path in sorted(root.rglob("*")):
        if SHELLS.match(str(path.relative_to(root))):
            path.unlink()
    assert subprocess.run(["chroot", str(root), "/bin/sh", "-c", "true"], capture_output=True).returncode != 0
    command = ["chroot", "--userspec=65532:65532", str(root), "/opt/runwright/bin/runwright", "operator", "--help"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**dict(one.split("=", 1) for one in config["Env"]), "PATH": os.environ["PATH"]},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "--lease" in done.stdout
    assert not [path for path in (root / "opt").rglob("*") if path.is_file() and path.stat().st_mode & 0o6000]
    assert not list(root.glob("opt/runwright/lib/python*/site-packages/pip"))
