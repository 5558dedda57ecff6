"""Each process loads only what it runs: the operator nothing of the run service, and the other way round."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

OPERATOR = Path(__file__).parents[2] / "operator"


def loaded(module: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after importing one."""
    program = f"import sys, runwright.cli, {module}; print(*sys.modules, sep='\\n')"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env={"PYTHONPATH": str(OPERATOR)}, check=True, capture_output=True, text=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "others"),
    [
        ("runwright.controller.command", ("runwright.service", "runwright.kubectl.submit", "grpc")),
        ("runwright.service.command", ("runwright.controller", "runwright.kubectl.submit", "kopf")),
    ],
)
def test_a_process_loads_no_module_of_the_other(module: str, others: tuple[str, ...]):
    modules = loaded(module)
    assert module in modules
    found = {name for name in modules for other in others if name == other or name.startswith(f"{other}.")}
    assert not found, f"{module} loads modules that it does not run: {sorted(found)}"
