"""What the API server itself has written down of the requests it got: its audit log, where that is on this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from deploy.local.localcluster.paths import DEFAULT_NAME, ClusterPaths
from tests.e2e.cluster import Object

WRITES = ("create", "update", "patch", "delete", "deletecollection")


def audit_log() -> Path | None:
    """Where the log is; None where the cluster is not one of this machine. AUDIT_LOG names another one."""
    path = Path(os.environ.get("AUDIT_LOG") or ClusterPaths(os.environ.get("CLUSTER") or DEFAULT_NAME).audit_log)
    return path if path.exists() else None


def size(log: Path) -> int:
    """Bytes of the log so far."""
    return log.stat().st_size


def calls(log: Path, since: int, *words: str) -> Iterator[Object]:
    """The requests that have been replied to, from that byte of the log on, in whose lines all of these words are."""
    with log.open() as lines:
        lines.seek(since)
        for line in lines:
            if all(word in line for word in words):
                call: Object = json.loads(line)
                if call["stage"] == "ResponseComplete":
                    yield call


def what(call: Object) -> str:
    """Verb and resource, such as `patch pipelineruns/status`."""
    target = call["objectRef"]
    return f"{call['verb']} {'/'.join(part for part in (target['resource'], target.get('subresource')) if part)}"
