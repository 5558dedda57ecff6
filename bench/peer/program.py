"""Builds Tekton's controller into the cache of the local cluster's programs, once per hash of its pins."""

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
    """The controller's executable, which is built where it is not there yet (1.5 minutes on two cores).

    Raises RuntimeError with Go's words where it cannot be built.
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
    """The folder `config` of the module: Tekton's CRDs and ConfigMaps as they are released (read-only)."""
    # Go has no folder of a module to tell of before it is in the module cache, as where the program came with the cache.
    go("mod", "download", MODULE)
    return Path(go("list", "-m", "-f", "{{.Dir}}", MODULE).strip()) / "config"


def version() -> str:
    """The pinned version, such as `v1.6.0`."""
    found = re.search(rf"^\s*{re.escape(MODULE)} (\S+)", (PINS / "go.mod").read_text(), re.MULTILINE)
    assert found is not None, f"{PINS}/go.mod does not require {MODULE}"
    return found[1]


def go(*arguments: str) -> str:
    """What a go command printed that was run on the pins. Raises RuntimeError with its words where it fails."""
    command = ["go", *arguments]
    try:
        done = subprocess.run(command, cwd=PINS, env=binaries.go_environment(), capture_output=True, text=True)
    except FileNotFoundError:
        raise RuntimeError("Go is not on PATH, and the peer operator is a Go program") from None
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} in {PINS}: {done.stderr[-2000:]}")
    return done.stdout
