"""The krew package: its manifest satisfies krew, and its archive starts through a link."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest
import yaml

KREW = Path(__file__).resolve().parents[4] / "deploy" / "krew"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("krew_release", KREW / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release = load()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive with a package that prints its name and arguments."""
    package = tmp_path / "lib" / "runwright" / "kubectl"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    code = "import sys\ndef run_kubectl(): print('kubectl runwright', *sys.argv[1:], sep='|')\n"
    (package / "commands.py").write_text(code)
    return release.make_archive(tmp_path / "lib", tmp_path / "dist")


def test_the_manifest_satisfies_krew(archive: Path):
    """The rules of krew 0.4 (`internal/index/validation`)."""
    plugin = yaml.safe_load(release.manifest([archive], "https://files.example/r/", "https://runwright.example"))
    assert (plugin["apiVersion"], plugin["kind"]) == ("krew.googlecontainertools.github.com/v1alpha2", "Plugin")
    assert plugin["metadata"] == {"name": "runwright"}
    assert (KREW / "runwright.yaml").stem == plugin["metadata"]["name"]
    spec = plugin["spec"]
    assert re.fullmatch(r"v\d+\.\d+\.\d+(-[\w.]+)?", spec["version"])
    assert 0 < len(spec["shortDescription"]) <= 50
    assert "\n" not in spec["shortDescription"]
    (platform,) = spec["platforms"]
    assert platform["uri"] == f"https://files.example/r/{archive.name}"
    assert platform["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert platform["selector"]["matchLabels"]["os"] == sys.platform
    with tarfile.open(archive) as tar:
        assert platform["bin"] in tar.getnames()
    assert not re.search(r"\b(VERSION|HOMEPAGE|URI|SHA256|OS|ARCH)\b", yaml.safe_dump(plugin))


def test_the_plugin_starts_through_a_link(archive: Path, tmp_path: Path):
    store = tmp_path / "store"
    with tarfile.open(archive) as tar:
        tar.extractall(store, filter="data")
    link = tmp_path / "kubectl-runwright"
    link.symlink_to(store / "kubectl-runwright")
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run([str(link), "get", "a b"], capture_output=True, text=True, env={"PATH": path})
    assert (done.returncode, done.stdout) == (0, "kubectl runwright|get|a b\n"), done.stderr
    done = subprocess.run(["/bin/sh", str(link)], capture_output=True, text=True, env={"PATH": "/nonexistent"})
    assert done.returncode == 1


def test_the_same_files_give_the_same_archive(archive: Path, tmp_path: Path):
    first = archive.read_bytes()
    assert release.make_archive(tmp_path / "lib", tmp_path / "again").read_bytes() == first


def test_archives_of_two_versions_are_rejected(archive: Path, tmp_path: Path):
    other = archive.with_name(archive.name.replace(release.version(), "v9.9.9"))
    other.write_bytes(b"")
    with pytest.raises(SystemExit, match="all of one version"):
        release.manifest([archive, other], "https://files.example", "https://runwright.example")
    with pytest.raises(SystemExit, match=r"expected kubectl-runwright_VERSION_OS_ARCH.tar.gz"):
        release.manifest([tmp_path / "other.tar.gz"], "https://files.example", "https://runwright.example")
