"""helm, from the pinned module, and what it renders of the chart."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.cluster import Object

CHART = Path(__file__).resolve().parents[2] / "charts" / "runwright"
SYSTEM = "runwright-system"


class Helm:
    """`helm ARGUMENTS`, from the pinned module, on the cluster under test."""

    def __init__(self, program: Path, kubeconfig: Path) -> None:
        self.program = program
        self._kubeconfig = kubeconfig

    def __call__(self, *arguments: str) -> str:
        """What helm printed. Raises subprocess.CalledProcessError, with helm's words as a note."""
        command = [str(self.program), "--kubeconfig", str(self._kubeconfig), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
        if done.returncode:
            error = subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
            error.add_note(done.stderr)
            raise error
        return done.stdout

    def rendered(self, *options: str) -> dict[tuple[str, str, str], Object]:
        """The objects of a release called runwright in runwright-system, by kind, namespace and name; those of no test."""
        text = self("template", "runwright", str(CHART), "-n", SYSTEM, "--no-hooks", "--kube-version=1.34.0", *options)
        return by_name(text)


def by_name(text: str) -> dict[tuple[str, str, str], Object]:
    """The objects of a YAML stream, by kind, namespace and name."""
    objects: Iterator[Any] = yaml.safe_load_all(text)
    return {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in objects if one}
