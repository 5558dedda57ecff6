"""Builds Tekton's controller into the program cache of the local cluster, once per hash of its pins."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from deploy.local.localcluster import binaries, pins
from deploy.local.localcluster.paths import cache_root

PINS = Path(__file__).resolve().parent
MODULE = "github.com/tektoncd/pipeline"
PROGRAM = "controller"
FAMILY = pins.Family(PINS.name, {PROGRAM: f"{MODULE}/cmd/{PROGRAM}"}, seconds=95)


def controller() -> Path:
    """The controller's executable; builds it if it is not cached (1.5 minutes on two cores).

    Raises RuntimeError with Go's error if the build fails.
    """
    folder = cache_root() / "bin" / f"{FAMILY.name}-{pins.read_hash(FAMILY, PINS.parent)}"
    built = folder / PROGRAM
    with binaries.build_lock(cache_root()):
        if not (folder / ".complete").exists():
            folder.mkdir(parents=True, exist_ok=True)
            print(f"  building Tekton's controller {version()}: about {FAMILY.seconds:.0f} s, then cached", flush=True)
            go("build", "-trimpath", f"-ldflags={FAMILY.ldflags}", "-o", str(built), FAMILY.packages[PROGRAM])
            (folder / ".complete").touch()
    return built


def configuration() -> Path:
    """The folder `config` of the Go module: Tekton's released CRDs and ConfigMaps (read-only)."""
    # The module may be missing from the module cache although the program is cached.
    go("mod", "download", MODULE)
    return Path(go("list", "-m", "-f", "{{.Dir}}", MODULE).strip()) / "config"


def version() -> str:
    """The pinned version, such as `v1.6.0`."""
    found = re.search(rf"^\s*{re.escape(MODULE)} (\S+)", (PINS / "go.mod").read_text(), re.MULTILINE)
    assert found is not None, f"{PINS}/go.mod does not require {MODULE}"
    return found[1]


def go(*arguments: str) -> str:
    """Run a go command on the pins; gives its output. Raises RuntimeError with its error if it fails."""
    command = ["go", *arguments]
    try:
        done = subprocess.run(command, cwd=PINS, env=binaries.go_environment(), capture_output=True, text=True)
    except FileNotFoundError:
        raise RuntimeError("the peer operator is a Go program, and Go is not on PATH. Install Go") from None
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} in {PINS}: {done.stderr[-2000:]}")
    return done.stdout
