"""Pins the Dockerfile's base image by digest. `make pin-base` runs it, on a machine that reaches the image's registry.

A tag can move to another image; a digest cannot. The digest names the image index, so it holds for every platform.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

DOCKERFILE = Path(__file__).resolve().parents[1] / "Dockerfile"
BASE = re.compile(r"^ARG BASE=(?P<name>[^\s@]+)(?:@(?P<digest>\S+))?$", re.MULTILINE)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

CLIENTS = {
    "skopeo": ("skopeo", "inspect", "--format", "{{.Digest}}", "docker://NAME"),
    "docker": ("docker", "buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}", "NAME"),
}
"""Clients of registries, the preferred one first, and their command lines."""


class BaseImageError(Exception):
    """The base image cannot be pinned; the message says why."""


def ask_registry(name: str) -> str:
    """The digest that the image of this name has now. Raises BaseImageError."""
    client = next((one for one in CLIENTS if shutil.which(one)), None)
    if client is None:
        raise BaseImageError(f"{' or '.join(CLIENTS)} is needed on PATH to ask the registry of {name}")
    command = [part.replace("NAME", name) for part in CLIENTS[client]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    found = done.stdout.strip()
    if done.returncode or not DIGEST.fullmatch(found):
        said = " ".join((done.stderr or done.stdout).split())[-500:]
        raise BaseImageError(f"{client} gives no digest of {name}: {said or 'no output'}")
    return found


def pin_base(dockerfile: Path, ask: Callable[[str], str]) -> str:
    """Write the digest that the base image has now into the Dockerfile. Returns the new reference. Raises BaseImageError."""
    text = dockerfile.read_text()
    found = BASE.search(text)
    if found is None:
        raise BaseImageError(f"{dockerfile}: expected a line ARG BASE=NAME:TAG")
    pinned = f"{found['name']}@{ask(found['name'])}"
    dockerfile.write_text(text[: found.start()] + f"ARG BASE={pinned}" + text[found.end() :])
    return pinned


def main() -> int:
    """Pin the base image of the Dockerfile."""
    try:
        print(f"→ Dockerfile: {pin_base(DOCKERFILE, ask_registry)}")
    except (BaseImageError, OSError, subprocess.TimeoutExpired) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
