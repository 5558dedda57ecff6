"""What every end-to-end test starts from: kubectl on the cluster under test, and a namespace of its own."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Kubectl = Callable[..., str]


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """`KUBECONFIG`, or what `make cluster` left."""
    path = Path(os.environ.get("KUBECONFIG", ".cluster/kubeconfig")).absolute()
    if not path.exists():
        pytest.exit(f"no cluster: {path} does not exist. Set KUBECONFIG, or run `make cluster`", returncode=4)
    return path


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path) -> Kubectl:
    """Runs `kubectl ARGUMENTS` with `input` on its standard input and returns what it printed.

    Raises subprocess.CalledProcessError, whose `stderr` is kubectl's.
    """

    def run(*arguments: str, input: str | None = None, timeout: float = 60) -> str:
        command = ["kubectl", "--kubeconfig", str(kubeconfig), *arguments]
        done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=timeout)
        if done.returncode:
            error = subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
            error.add_note(done.stderr)
            raise error
        return done.stdout

    return run


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace that this test alone uses; its deletion is started when the test ends."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def apply(kubectl: Kubectl, namespace: str) -> Callable[..., str]:
    """`kubectl apply`, in the test's namespace, of a document (dict) or of text."""

    def run(document: str | dict[str, Any], *arguments: str) -> str:
        text = document if isinstance(document, str) else json.dumps(document)
        return kubectl("apply", "-n", namespace, "-f", "-", *arguments, input=text)

    return run
