"""Python environments beside the operator's own, for SDKs whose requirements do not go together with it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def python_with(name: str) -> Path:
    """The Python of an environment that holds exactly tests/e2e/requirements-<name>.txt, made where it is not there yet.

    It lies in the user's cache under the hash of the requirements, so it is made once for all clones and workers.
    """
    requirements = HERE / f"requirements-{name}.txt"
    made_of = f"{sys.version_info[:2]}".encode() + requirements.read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "runwright" / "environments"
    folder = cache / f"{name}-{hashlib.sha256(made_of).hexdigest()[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / ".complete"
        if not done.exists():
            uv = (sys.executable, "-m", "uv")
            _run(*uv, "venv", "--clear", "--python", sys.executable, str(folder))
            # What comes as source is built with the setuptools of the same file, not with whatever is newest.
            install = (*uv, "pip", "install", "--python", str(folder / "bin/python"), "--require-hashes")
            _run(*install, "--build-constraints", str(requirements), "-r", str(requirements))
            done.touch()
    return folder / "bin/python"


def written_by(name: str, program: str) -> str:
    """What tests/e2e/pipelines/<program> prints in that environment: a manifest."""
    return _run(str(python_with(name)), str(HERE / "pipelines" / program))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout
