"""The record of a started cluster, and the decision what `up` does with it."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from enum import Enum

from .paths import STATE_ROOT, ClusterPaths


@dataclass(frozen=True)
class Record:
    """cluster.json.

    `families` maps program families to the pin hashes of the running builds. `complete` is true once the cluster was Ready.
    `installed` is the fingerprint of the last applied manifests.
    """

    name: str
    slot: int
    families: dict[str, str] = field(default_factory=dict[str, str])
    with_dns: bool = True
    complete: bool = False
    installed: str = ""


def fingerprint(manifests: str) -> str:
    """A short hash of the manifests."""
    return hashlib.sha256(manifests.encode()).hexdigest()[:16]


class Action(Enum):
    """What `up` does."""

    CREATE = "create"
    HEAL = "heal"
    RECREATE = "recreate"


def decide(record: Record | None, namespaces_exist: bool, leftovers: bool) -> tuple[Action, str]:
    """What to do, and why: create a new cluster, heal one that was Ready once, clean up and recreate any other."""
    if record is None and not leftovers:
        return Action.CREATE, "it does not exist"
    if record is None:
        return Action.RECREATE, "a start was interrupted before it wrote its record"
    if not record.complete:
        return Action.RECREATE, "an earlier start did not complete"
    if not namespaces_exist:
        return Action.RECREATE, "its namespaces do not exist (the machine was restarted)"
    return Action.HEAL, "it was started before"


def read(paths: ClusterPaths) -> Record | None:
    """The record of a cluster, or None if it cannot be read."""
    try:
        return Record(**json.loads(paths.record.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write(paths: ClusterPaths, record: Record) -> None:
    """Replace the record atomically."""
    scratch = paths.record.with_suffix(".tmp")
    scratch.write_text(json.dumps(asdict(record), indent=2))
    scratch.replace(paths.record)


def slots_in_use(but: str) -> list[int]:
    """Subnet slots of the other clusters of this machine."""
    records = (read(ClusterPaths(folder.name)) for folder in STATE_ROOT.glob("*") if folder.name != but)
    return [record.slot for record in records if record is not None]
