"""Bytes of image layers and configs."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

from localcluster.layers import Blob, Entry, Process, config_json, digest_of, executable, write_layer


def test_the_same_entries_give_the_same_bytes(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"#!/bin/sh\n")
    entries = [executable("bin/tool", program), Entry("etc/passwd", b"root", 0o644), Entry("tmp", None, 0o1777)]
    write_layer(entries, tmp_path / "a.tar")
    program.touch()
    write_layer(list(reversed(entries)), tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_a_layer_has_modes_links_and_missing_parents(tmp_path: Path) -> None:
    write_layer([Entry("usr/local/bin/x", link="/bin/busybox"), Entry("tmp", None, 0o1777)], tmp_path / "l.tar")
    with tarfile.open(tmp_path / "l.tar") as tar:
        members = {member.name: member for member in tar.getmembers()}
    assert members["usr/local"].isdir()
    assert members["usr/local/bin/x"].linkname == "/bin/busybox"
    assert members["tmp"].mode == 0o1777
    assert {(m.uid, m.gid, m.mtime) for m in members.values()} == {(0, 0, 0)}
    assert list(members) == sorted(members)


def test_a_config_has_layers_and_process() -> None:
    layer = Blob(digest_of(b"x"), 1)
    config = json.loads(config_json(Process(entrypoint=("/argosay",), user="1"), [layer], "amd64"))
    assert config["rootfs"]["diff_ids"] == [layer.digest]
    assert config["config"]["Entrypoint"] == ["/argosay"]
    assert config["config"]["Cmd"] is None
