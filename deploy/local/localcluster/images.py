"""Builds the cluster's images into the blob store, once per hash of their inputs."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from . import catalogue, store
from .binaries import build_lock
from .errors import ClusterError
from .layers import Blob, Entry, Process, executable, write_layer
from .paths import PROGRAMS, cache_root
from .progress import step

BASE_SUITE = "bookworm"
BASE_PACKAGES = ("python3", "python3-pip", "python3-venv", "ca-certificates", "curl", "jq", "busybox-static")
BASE_SECONDS = 60.0
_BASE_OPTIONS = (
    "--variant=minbase",
    '--aptopt=Acquire::Languages "none"',
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    # Debian marks its Python as externally managed. A Dockerfile runs `pip install` with it.
    '--customize-hook=rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
    f"--include={','.join(BASE_PACKAGES)}",
)
_APPLETS = (
    "nc", "wget", "nslookup", "vi", "ping", "telnet", "killall", "httpd", "unzip", "hexdump", "bc", "dc", "tree", "time",
    "less", "ps", "top", "free", "pgrep", "pkill", "uptime", "watch", "ip", "ifconfig", "usleep", "xxd",
)  # fmt: skip
_USERS = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
_HOST_LOOKUP = b"hosts: files dns\n"


def cached(name: str, inputs: Sequence[bytes], build: Callable[[], Mapping[str, Blob]]) -> dict[str, str]:
    """Label -> digest of the images of `build`, from the cache if `inputs` have not changed since the last build of `name`."""
    digest = hashlib.sha256()
    for part in inputs:
        digest.update(len(part).to_bytes(8, "big") + part)
    folder = cache_root() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / f"{name}-{digest.hexdigest()[:16]}.json"
    if images := _recorded(record):
        return images
    with build_lock(cache_root()):
        if images := _recorded(record):
            return images
        images = {label: blob.digest for label, blob in build().items()}
        for old in folder.glob(f"{name}-{'?' * 16}.json"):
            old.unlink()
        record.write_text(json.dumps(images, indent=2))
        return images


def _recorded(record: Path) -> dict[str, str] | None:
    try:
        images: dict[str, str] = json.loads(record.read_text())
    except (OSError, ValueError):
        return None
    return images if all(store.blob_path(digest).exists() for digest in images.values()) else None


def layer(entries: Sequence[Entry]) -> Blob:
    """Store a layer of `entries`."""
    scratch = store.blobs_folder() / "layer.tmp"
    write_layer(entries, scratch)
    return store.put_file(scratch)


def _bootstrap(target: Path) -> None:
    process = subprocess.run(
        ["mmdebstrap", *_BASE_OPTIONS, BASE_SUITE, str(target)], capture_output=True, text=True, check=False
    )
    if process.returncode != 0:
        target.unlink(missing_ok=True)
        tail = "\n    ".join(process.stderr.strip().splitlines()[-6:])
        raise ClusterError(
            f"Building the base image with mmdebstrap failed:\n    {tail}",
            "Check that `apt-get update` works, then run the same command again.",
        )


def base_image() -> str:
    """Digest of the Debian base image with python3, pip and venv, for `FROM ${BASE}` of a Dockerfile."""

    def build() -> Mapping[str, Blob]:
        with step(f"build the base image: Debian {BASE_SUITE} with {', '.join(BASE_PACKAGES)}", estimate=BASE_SECONDS):
            scratch = store.blobs_folder() / "base.tar"
            _bootstrap(scratch)
            rootfs = store.put_file(scratch)
            return {"base": store.put_image([rootfs], Process(cmd=("python3",)))}

    return cached("base", [BASE_SUITE.encode(), repr(_BASE_OPTIONS).encode()], build)["base"]


def _step_entries() -> list[Entry]:
    entries = [
        executable("argosay", PROGRAMS / "argosay"),
        executable("usr/local/bin/argosay", PROGRAMS / "argosay"),
        executable("usr/local/bin/cowsay", PROGRAMS / "cowsay"),
        executable("usr/local/bin/nginx", PROGRAMS / "nginx"),
        Entry("usr/local/bin/python", link="/usr/bin/python3"),
    ]
    return entries + [Entry(f"usr/local/bin/{name}", link="/bin/busybox") for name in _APPLETS]


def step_images() -> dict[str, str]:
    """Name pattern -> digest of the images of user steps, all on one base layer."""
    base = base_image()
    inputs = [base.encode(), repr(_APPLETS).encode(), repr(catalogue.STEP_IMAGES).encode()]
    inputs += [path.read_bytes() for path in sorted(PROGRAMS.iterdir())]

    def build() -> Mapping[str, Blob]:
        rootfs = store.read_json(base)["layers"][0]
        layers = [Blob(rootfs["digest"], rootfs["size"]), layer(_step_entries())]
        return {
            pattern: store.put_image(layers, process)
            for process, patterns in catalogue.STEP_IMAGES.values()
            for pattern in patterns
        }

    return cached("steps", inputs, build)


def _program_image(program: Path, process: Process) -> Mapping[str, Blob]:
    entries = [
        executable(f"bin/{program.name}", program),
        Entry("etc/passwd", _USERS, 0o644),
        Entry("etc/nsswitch.conf", _HOST_LOOKUP, 0o644),
        Entry("tmp", None, 0o1777),
    ]
    return {"image": store.put_image([layer(entries)], process)}


def program_images(programs: Mapping[str, Path]) -> dict[str, str]:
    """Name -> digest of the images of the built programs, one program each."""
    # Argo does not set `executor.env` in pods for artifact garbage collection, so the image contains the local keys too.
    s3_keys = tuple(f"{key}={value}" for key, value in catalogue.S3_ENVIRONMENT.items())
    wanted = {
        "argoexec": (catalogue.ARGOEXEC, Process(entrypoint=("argoexec",), env=(*Process().env, *s3_keys))),
        "argo": (catalogue.ARGOCLI, Process(entrypoint=("argo",), user="8737")),
        "workflow-controller": (catalogue.CONTROLLER, Process(entrypoint=("workflow-controller",), user="8737")),
        "versitygw": (catalogue.VERSITYGW, Process(entrypoint=("versitygw",))),
        "coredns": (catalogue.COREDNS, Process(entrypoint=("coredns",), user="65534")),
    }
    images: dict[str, str] = {}
    for program, (name, process) in wanted.items():
        path = programs.get(program)
        if path is None or not path.exists():
            continue
        key = [str(path.parent.name).encode(), repr(process).encode(), _USERS, _HOST_LOOKUP]
        digest = cached(program, key, lambda path=path, process=process: _program_image(path, process))["image"]
        # Argo's examples use the tag `latest`.
        images |= {name: digest, f"{name.partition(':')[0]}:latest": digest}
    return images


def pause_image() -> dict[str, str]:
    """Name -> digest of the image of pod sandboxes: a static busybox that sleeps."""
    busybox = Path(shutil.which("busybox") or "/bin/busybox")
    process = Process(entrypoint=("/bin/busybox", "sleep", "2147483647"))

    def build() -> Mapping[str, Blob]:
        return {"image": store.put_image([layer([executable("bin/busybox", busybox)])], process)}

    return {catalogue.PAUSE: cached("pause", [busybox.read_bytes(), repr(process).encode()], build)["image"]}


def build_all(programs: Mapping[str, Path]) -> dict[str, str]:
    """Name pattern -> digest of all images of the cluster. Builds missing images."""
    return {**pause_image(), **program_images(programs), **step_images()}
