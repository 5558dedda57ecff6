"""The images of the cluster: their names and their processes.

Names are repositories without a registry host. The mirror serves them for every registry, so `busybox`,
`docker.io/library/busybox` and a copy in another registry are the same image. Patterns are those of `fnmatch`.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from .layers import Process
from .pins import ARGO_VERSION, COREDNS_VERSION, VERSITYGW_VERSION

PAUSE = "runwright/pause:1"
STEPS = "runwright/steps:latest"
CONTROLLER = f"argoproj/workflow-controller:{ARGO_VERSION}"
ARGOEXEC = f"argoproj/argoexec:{ARGO_VERSION}"
ARGOCLI = f"argoproj/argocli:{ARGO_VERSION}"
VERSITYGW = f"versity/versitygw:{VERSITYGW_VERSION}"
COREDNS = f"coredns/coredns:{COREDNS_VERSION.removeprefix('v')}"

S3_ACCESS_KEY = "runwright-local"
S3_SECRET_KEY = "runwright-local-secret"  # noqa: S105 - of the local cluster, on loopback
S3_ENVIRONMENT: Mapping[str, str] = {"AWS_ACCESS_KEY_ID": S3_ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": S3_SECRET_KEY}

# All names have the same file system (Debian with a shell, Python and small tools). Only the process differs.
STEP_IMAGES: Mapping[str, tuple[Process, tuple[str, ...]]] = {
    "shell": (
        Process(cmd=("sh",)),
        ("library/busybox:*", "library/alpine:*", "alpine/*:*", STEPS),
    ),
    "bash": (
        Process(cmd=("bash",)),
        ("library/debian:*", "library/ubuntu:*", "library/bash:*", "docker/whalesay:*"),
    ),
    "nginx": (Process(cmd=("nginx",)), ("library/nginx:*",)),
    "python": (Process(cmd=("python3",)), ("library/python:*",)),
    "curl": (Process(entrypoint=("curl",)), ("curlimages/curl:*", "appropriate/curl:*")),
    "jq": (Process(entrypoint=("jq",)), ("stedolan/jq:*",)),
    "cowsay": (Process(cmd=("cowsay",)), ("argoproj/argosay:v1",)),
    "argosay": (Process(entrypoint=("/argosay",)), ("argoproj/argosay:*",)),
}

# Argo's controller must know the command of a container without one (emissary executor, Argo 3.4 and later). It looks up the exact
# image name in its configuration, then asks the registry, which is not reachable.
_TAGS: Mapping[str, tuple[str, ...]] = {
    "library/busybox": ("", "latest", "1.36", "1.37", "glibc", "musl"),
    "library/alpine": ("", "latest", "3", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
    + ("3.15", "3.16", "3.17", "3.18", "3.19", "3.20", "3.21", "3.22"),
    "library/debian": ("", "latest", "9.4", "9.5-slim", "bookworm", "bookworm-slim", "stable-slim", "12", "12-slim"),
    "library/ubuntu": ("", "latest", "18.04", "20.04", "22.04", "24.04"),
    "library/bash": ("", "latest", "5"),
    "library/nginx": ("", "latest", "1.13", "alpine"),
    "library/python": ("", "latest", "3", "slim", "alpine", "3-slim", "3-alpine", "alpine3.6")
    + tuple(f"3.{minor}{kind}" for minor in range(6, 15) for kind in ("", "-slim", "-alpine", "-slim-bookworm")),
    "docker/whalesay": ("", "latest"),
    "curlimages/curl": ("", "latest", "8.11.0"),
    "appropriate/curl": ("", "latest"),
    "stedolan/jq": ("", "latest"),
    "argoproj/argosay": ("v1", "v2"),
}


def split_reference(reference: str) -> tuple[str, str]:
    """Repository without registry host, and tag, of an image name in a pod.

    A first part with a dot or a colon, or "localhost", is a host. A name of one part is in "library". The default tag is "latest".
    """
    name, _, digest = reference.partition("@")
    head, slash, rest = name.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        name = rest
    last = name.rsplit("/", 1)[-1]
    repository, tag = name, "latest"
    if ":" in last:
        repository, _, tag = name.rpartition(":")
    if "/" not in repository:
        repository = f"library/{repository}"
    return repository, digest or tag


def resolve(names: Mapping[str, str], repository: str, tag: str) -> str | None:
    """The manifest digest of `repository:tag` in `names` (pattern -> digest). An exact name takes precedence over a pattern."""
    wanted = f"{repository}:{tag}"
    if wanted in names:
        return names[wanted]
    return next((digest for pattern, digest in names.items() if fnmatchcase(wanted, pattern)), None)


def argo_image_commands() -> dict[str, dict[str, Sequence[str]]]:
    """The `images` section of Argo's workflow-controller-configmap: exact name -> entrypoint and cmd."""
    commands: dict[str, dict[str, Sequence[str]]] = {}
    for repository, tags in _TAGS.items():
        short = repository.removeprefix("library/")
        for tag in tags:
            process = next(
                process
                for process, patterns in STEP_IMAGES.values()
                if any(fnmatchcase(f"{repository}:{tag or 'latest'}", pattern) for pattern in patterns)
            )
            entry = {"entrypoint": list(process.entrypoint), "cmd": list(process.cmd)}
            commands[f"{short}:{tag}" if tag else short] = {key: value for key, value in entry.items() if value}
    return commands
