"""Debian packages: which are missing, and how one is unpacked into the cache."""

from __future__ import annotations

from pathlib import Path

import pytest
from localcluster import host
from localcluster.errors import ClusterError


def test_an_unpacked_package_is_not_downloaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RUNWRIGHT_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    folder = tmp_path / "debian" / "prometheus"
    folder.mkdir(parents=True)
    assert host.unpacked("prometheus") == folder


def test_without_debian_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RUNWRIGHT_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ClusterError) as raised:
        host.unpacked("prometheus")
    assert "not Debian" in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_failed_download_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """After a failure of apt-get, such as without a network, the next call tries again."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, script in (("apt-get", "echo no network >&2; exit 100"), ("dpkg-deb", "exit 1")):
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("RUNWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    with pytest.raises(ClusterError, match="no network"):
        host.unpacked("prometheus")
    assert [path.name for path in (tmp_path / "cache" / "debian").iterdir()] == ["prometheus.lock"]


def test_packages_without_their_program_are_missing() -> None:
    present = {"containerd", "runc", "/usr/lib/cni/bridge"}
    missing = host.missing_packages(host.PACKAGES, lambda proof: proof in present)
    assert set(missing) == set(host.PACKAGES) - {"containerd", "runc", "containernetworking-plugins"}
