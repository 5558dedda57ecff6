"""Which cluster to use: a named one, kind, or the real components. A pure decision."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from .errors import ClusterError


class Provider(Enum):
    """Kind of the cluster."""

    NAMED = "named"
    KIND = "kind"
    COMPONENTS = "components"


@dataclass(frozen=True)
class Facts:
    """Inputs of the decision, read from the machine."""

    kubeconfig_flag: str | None
    kubeconfig_env: str | None
    own_kubeconfigs: frozenset[Path]
    docker_answers: bool
    docker_why_not: str
    root: bool
    linux: bool
    recorded: Provider | None = None


@dataclass(frozen=True)
class Choice:
    """The decision, and its reason as a clause for the user."""

    provider: Provider
    reason: str
    kubeconfig: str | None = None


def _is_own(value: str, own: frozenset[Path]) -> bool:
    """True if every file of a KUBECONFIG list is one this tool wrote."""
    return all(Path(part).expanduser().resolve() in own for part in value.split(":") if part)


def choose(facts: Facts) -> Choice:
    """Decide by the order --kubeconfig, $KUBECONFIG, the running cluster's own kind, Docker, components.

    A kubeconfig that this tool wrote (`.cluster/kubeconfig`) is ignored.

    Raises:
        ClusterError: if this machine supports none of them.
    """
    named = ((facts.kubeconfig_flag, "--kubeconfig"), (facts.kubeconfig_env, "KUBECONFIG"))
    for value, source in named:
        if value and not _is_own(value, facts.own_kubeconfigs):
            return Choice(Provider.NAMED, f"{source} names the cluster in {value}", value)
    if facts.recorded in (Provider.KIND, Provider.COMPONENTS):
        return Choice(facts.recorded, "it was started this way before")
    if facts.docker_answers:
        return Choice(Provider.KIND, "no cluster is named and a Docker engine answers")
    why = f"no cluster is named and no Docker engine answers ({facts.docker_why_not})"
    if not facts.linux:
        raise ClusterError(
            f"{why}, and the real components need Linux.",
            "Start Docker, or name a cluster with KUBECONFIG=… or --kubeconfig FILE.",
        )
    if not facts.root:
        raise ClusterError(
            f"{why}, and the real components need root.",
            "Run it as root (sudo make cluster), start Docker, or name a cluster with KUBECONFIG=… or --kubeconfig FILE.",
        )
    return Choice(Provider.COMPONENTS, why)
