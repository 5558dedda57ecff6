"""Files that commands write are replaced on success, and only then."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from runwright.kubectl.files import open_output, replace_file


def test_a_new_file_appears_when_it_is_complete(tmp_path: Path):
    target = tmp_path / "out"
    old = os.umask(0o027)
    try:
        with replace_file(target) as file:
            file.write(b"first")
            assert not target.exists()
    finally:
        os.umask(old)
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"first", 0o640)
    assert list(tmp_path.iterdir()) == [target]


def test_a_former_file_keeps_its_mode_when_it_is_replaced(tmp_path: Path):
    target = tmp_path / "out"
    target.write_bytes(b"first")
    target.chmod(0o600)
    with replace_file(target) as file:
        file.write(b"second")
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"second", 0o600)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_former_file_is_unchanged_after_a_failure(error: type[BaseException], tmp_path: Path):
    target = tmp_path / "out"
    target.write_bytes(b"first")
    with pytest.raises(error), replace_file(target) as file:
        file.write(b"half of the sec")
        raise error
    assert target.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_stays_a_link(tmp_path: Path):
    (tmp_path / "real").write_bytes(b"before")
    (tmp_path / "link").symlink_to("real")
    with replace_file(tmp_path / "link") as file:
        file.write(b"after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"after"


def test_a_pipe_is_written_directly(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with replace_file(pipe) as file:
        file.write(b"through")
    assert os.read(reading, 100) == b"through"
    os.close(reading)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_dash_is_the_standard_output(capfdbinary: pytest.CaptureFixture[bytes]):
    with open_output(Path("-")) as file:
        file.write(b"through")
    assert capfdbinary.readouterr().out == b"through"
