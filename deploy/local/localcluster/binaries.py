"""Builds the pinned Go programs into the cache, once per hash of their pins."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import pins
from .errors import ClusterError
from .paths import PINS, cache_root
from .progress import say, seconds, step, warn


@contextmanager
def build_lock(cache: Path) -> Iterator[None]:
    """Lock the cache, so that one process at a time builds into it."""
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "build.lock", "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("  → waiting for another build into this cache")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def folder(family: pins.Family) -> Path:
    """Folder of the family's binaries, built or not."""
    return cache_root() / "bin" / f"{family.name}-{pins.read_hash(family, PINS)}"


def is_built(family: pins.Family) -> bool:
    """True if all programs of the family are in the cache under the current hash."""
    return (folder(family) / ".complete").exists()


def go_environment() -> dict[str, str]:
    """Environment of go commands: static binaries, no version-control stamping, no workspace."""
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}


def _go(arguments: list[str], cwd: Path, task: str) -> str:
    process = subprocess.run(
        ["go", *arguments], cwd=cwd, env=go_environment(), capture_output=True, text=True, check=False
    )
    if process.returncode != 0:
        tail = "\n    ".join(process.stderr.strip().splitlines()[-8:])
        raise ClusterError(
            f"{task} failed:\n    {tail}",
            "If a module was not found, check access to the Go module proxy (go env GOPROXY). If the disk is full, free "
            "space. Then run the same command again; finished programs are kept.",
        )
    return process.stdout


def check_go(families: list[pins.Family]) -> None:
    """Check that Go is installed and new enough for `families`.

    Raises:
        ClusterError: if it is not.
    """
    if not families:
        return
    need = max(pins.required_go((PINS / pins.pin_folder(f) / "go.mod").read_text()) for f in families)
    wanted = ".".join(map(str, need))
    if shutil.which("go") is None:
        raise ClusterError(
            "Go is not installed, but is needed to build the cluster's programs.",
            f"Install Go {wanted} or newer and put it on PATH, or start Docker to use kind.",
        )
    found = pins.parse_go_version(
        subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    )
    toolchain = subprocess.run(["go", "env", "GOTOOLCHAIN"], capture_output=True, text=True, check=False).stdout.strip()
    if found is not None and found < need and toolchain == "local":
        raise ClusterError(
            f"Go {'.'.join(map(str, found))} is too old: the pinned modules need {wanted}.",
            f"Install Go {wanted} or newer, or set GOTOOLCHAIN=auto to let Go download it.",
        )


def argo_source() -> Path:
    """Folder of the pinned Argo module: manifests/, examples/ (read-only, in Go's module cache)."""
    return module_source("argo", pins.ARGO_MODULE)


def module_source(pin: str, module: str) -> Path:
    """Folder of a module in the pin folder's go.mod (read-only, in Go's module cache)."""
    output = _go(["list", "-m", "-f", "{{.Dir}}", module], PINS / pin, f"Finding the folder of {module}")
    if not output.strip():
        _go(["mod", "download", module], PINS / pin, f"Downloading {module}")
        return module_source(pin, module)
    return Path(output.strip())


def _prepare_vendor(family: pins.Family, work: Path) -> None:
    for name in ("go.mod", "go.sum"):
        shutil.copy(PINS / pins.pin_folder(family) / name, work / name)
    # -e: a package that embeds a missing file is not fatal. The file is created below.
    _go(["mod", "vendor", "-e"], work, f"Vendoring the modules of {family.name}")
    for path, target in family.links.items():
        link = work / "vendor" / path
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    for path in family.blanks:
        blank = work / "vendor" / path
        blank.parent.mkdir(parents=True, exist_ok=True)
        blank.touch()


def build(family: pins.Family) -> Path:
    """Build the family's programs if they are not in the cache, and return their folder.

    Raises:
        ClusterError: if the build fails, with Go's error.
    """
    target = folder(family)
    if is_built(family):
        return target
    target.mkdir(parents=True, exist_ok=True)
    names = ", ".join(family.packages)
    with step(f"build {names} (Go modules of pins/{pins.pin_folder(family)})", estimate=family.seconds):
        work = PINS / pins.pin_folder(family)
        flags = ["build", "-trimpath", f"-ldflags={family.ldflags}"]
        scratch = target / "build"
        if family.vendored:
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            _prepare_vendor(family, scratch)
            work, flags = scratch, [*flags, "-mod=vendor"]
        for program, package in family.packages.items():
            _go([*flags, "-o", str(target / program), package], work, f"Building {program}")
        shutil.rmtree(scratch, ignore_errors=True)
        (target / ".complete").touch()
    return target


def build_all(families: list[pins.Family]) -> dict[str, Path]:
    """Build missing programs and return program name -> binary. Skips optional families that cannot be built."""
    programs: dict[str, Path] = {}
    with build_lock(cache_root()):
        missing = [f for f in families if not is_built(f)]
        if missing:
            check_go([f for f in missing if not f.optional])
            total = sum(f.seconds for f in missing)
            say(
                f"  first build of {', '.join(f.name for f in missing)}: about {seconds(total)} on 2 cores, then cached"
            )
        for family in families:
            try:
                where = build(family)
            except ClusterError as error:
                if not family.optional:
                    raise
                warn(f"{family.name} is skipped: {error.problem}")
                continue
            programs |= {name: where / name for name in family.packages}
    return programs
