"""A context of a kubeconfig: its cluster, its namespace, and its user's credentials where they are fixed."""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from runwright.kube.objects import Json, as_mapping, as_text

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

FIXED = {"client-certificate", "client-certificate-data", "client-key", "client-key-data", "token"}
"""Fields of a user that say all that is needed. A user with any other field is left to `kubernetes.aio`."""


class ConfigError(Exception):
    """There is no usable kubeconfig, context or service account; the message says which, and what was expected."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a context of a kubeconfig says. Paths are absolute; data is PEM."""

    server: str
    namespace: str
    fixed: bool
    """Whether the credentials below are all there is; else a plugin or provider has to be asked."""
    ca_file: str = ""
    ca_data: str = ""
    insecure: bool = False
    server_name: str = ""
    proxy: str = ""
    certificate_file: str = ""
    certificate_data: str = ""
    key_file: str = ""
    key_data: str = ""
    token: str = ""


def read_context(kubeconfig: str | None, context: str | None) -> Context:
    """Read a context, the current one where none is named. Raises ConfigError.

    `KUBECONFIG` may name several files: of each cluster, user and context, the first one counts (as kubectl merges them).
    """
    named = kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    clusters: dict[str, tuple[Json, Path]] = {}
    users: dict[str, tuple[Json, Path]] = {}
    contexts: dict[str, tuple[Json, Path]] = {}
    current = context or ""
    for path in (Path(one).expanduser() for one in named.split(os.pathsep) if one):
        if not path.is_file():
            continue
        found = parse(path)
        current = current or as_text(found.get("current-context"))
        for kind, known in (("cluster", clusters), ("user", users), ("context", contexts)):
            for name, entry in entries(found, f"{kind}s", kind):
                known.setdefault(name, (entry, path.parent))
    if not contexts:
        raise ConfigError(f"no kubeconfig with a context in {named}")
    if current not in contexts:
        raise ConfigError(f"context {current!r} does not exist in {named}; expected one of {', '.join(contexts)}")
    chosen, _ = contexts[current]
    cluster_name, user_name = as_text(chosen.get("cluster")), as_text(chosen.get("user"))
    if cluster_name not in clusters:
        raise ConfigError(f"context {current!r} names cluster {cluster_name!r}, which does not exist in {named}")
    cluster, cluster_folder = clusters[cluster_name]
    user, user_folder = users.get(user_name, ({}, cluster_folder))
    return Context(
        server=as_text(cluster.get("server")),
        namespace=as_text(chosen.get("namespace")) or "default",
        fixed=set(user) <= FIXED,
        ca_file=absolute(cluster_folder, cluster.get("certificate-authority"))
        if not cluster.get("certificate-authority-data")
        else "",
        ca_data=pem(cluster, "certificate-authority-data"),
        insecure=cluster.get("insecure-skip-tls-verify") is True,
        server_name=as_text(cluster.get("tls-server-name")),
        proxy=as_text(cluster.get("proxy-url")),
        certificate_file=absolute(user_folder, user.get("client-certificate"))
        if not user.get("client-certificate-data")
        else "",
        certificate_data=pem(user, "client-certificate-data"),
        key_file=absolute(user_folder, user.get("client-key")) if not user.get("client-key-data") else "",
        key_data=pem(user, "client-key-data"),
        token=as_text(user.get("token")),
    )


def parse(path: Path) -> Json:
    """Parse a file. Raises ConfigError."""
    try:
        return as_mapping(yaml.load(path.read_text(), Loader))  # noqa: S506 - one of two safe loaders
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as a kubeconfig: {' '.join(str(error).split())}") from error


def entries(config: Json, plural: str, kind: str) -> list[tuple[str, Json]]:
    """The named entries of one list of a kubeconfig."""
    found = config.get(plural)
    listed = cast(list[object], found) if isinstance(found, list) else []
    return [(as_text(as_mapping(one).get("name")), as_mapping(as_mapping(one).get(kind))) for one in listed]


def absolute(folder: Path, value: object) -> str:
    """A path in a kubeconfig is relative to its folder."""
    return str(folder / as_text(value)) if as_text(value) else ""


def pem(entry: Json, name: str) -> str:
    """Decode a `-data` field. Raises ConfigError."""
    try:
        return base64.b64decode("".join(as_text(entry.get(name)).split()), validate=True).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise ConfigError(f"{name}: expected a certificate or key in PEM, encoded as base64") from error
