"""Finds kubectl and runs it."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import binaries, pins
from .errors import ClusterError


def find() -> Path:
    """Path of kubectl: from PATH, or built from the pinned Kubernetes module."""
    found = shutil.which("kubectl")
    if found:
        return Path(found)
    return binaries.build_all([pins.KUBECTL])["kubectl"]


@dataclass(frozen=True)
class Kubectl:
    """kubectl with one kubeconfig."""

    program: Path
    kubeconfig: Path | str

    def run(self, *arguments: str, stdin: str | None = None, check: bool = True, timeout: float = 60) -> str:
        """Run kubectl and return its output.

        Raises:
            ClusterError: if it fails and `check` is set.
        """
        command = [str(self.program), f"--kubeconfig={self.kubeconfig}", *arguments]
        try:
            process = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise ClusterError(
                f"kubectl {' '.join(arguments[:3])} did not finish within {timeout:.0f} s.",
                "Check `cluster.py status` and the logs that it lists.",
            ) from error
        if check and process.returncode != 0:
            raise ClusterError(
                f"kubectl {' '.join(arguments[:4])} failed: {process.stderr.strip()[-1500:]}",
                "Check `cluster.py status` and the logs that it lists.",
            )
        return process.stdout

    def json(self, *arguments: str) -> dict[str, Any]:
        """Run kubectl with `-o json` and return the parsed output."""
        return json.loads(self.run(*arguments, "-o", "json"))

    def answers(self) -> bool:
        """True if the API server is ready."""
        try:
            return self.run("get", "--raw=/readyz", check=False, timeout=10).strip() == "ok"
        except ClusterError:
            return False


def kustomize(program: Path, folder: Path) -> str:
    """The rendered manifests of a kustomization."""
    process = subprocess.run([str(program), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    if process.returncode != 0:
        raise ClusterError(
            f"kubectl kustomize {folder} failed: {process.stderr.strip()}",
            "Use kubectl 1.28 or newer, or remove it from PATH.",
        )
    return process.stdout
