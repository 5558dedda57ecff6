"""The stand-in for the image argoproj/argosay."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from localcluster.paths import PROGRAMS


@pytest.mark.parametrize(
    ("arguments", "code", "output"),
    [
        ([], 0, "hello argo\n"),
        (["echo"], 0, "hello argo\n"),
        (["echo", "-n a"], 0, "-n a\n"),
        (["exit"], 0, ""),
        (["exit", "7"], 7, ""),
        (["sleep", "0.01s"], 0, ""),
        (["dance"], 1, ""),
    ],
)
def test_argosay(arguments: list[str], code: int, output: str) -> None:
    done = subprocess.run([PROGRAMS / "argosay", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, output)


def test_argosay_writes_reads_and_checks_files(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "file"

    def say(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([PROGRAMS / "argosay", *arguments], capture_output=True, text=True, check=False)

    assert say("echo", "a text", str(file)).returncode == 0
    assert say("cat", str(file)).stdout == "a text\n"
    assert say("assert_contains", str(file), "text").returncode == 0
    assert say("assert_contains", str(file), "no").returncode != 0
