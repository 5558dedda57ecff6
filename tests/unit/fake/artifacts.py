"""A fake object store with small artifacts, by node."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from runwright.kube.objects import Json

READ_SECONDS = 0.02


class FakeArtifactError(Exception):
    """A read error; the reason says whether a later read can succeed."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass
class FakeArtifacts:
    """The artifact of each node. An exception is raised; Unreachable only at the first read."""

    files: dict[str, bytes | FakeArtifactError] = field(default_factory=dict[str, bytes | FakeArtifactError])
    seconds: float = READ_SECONDS
    reads: Counter[str] = field(default_factory=Counter[str])

    async def read_small(self, workflow: Json, node_id: str, name: str, limit: int) -> bytes:
        self.reads[node_id] += 1
        await asyncio.sleep(self.seconds)
        left = self.files.get(node_id, FakeArtifactError("ObjectNotFound", f"{name} of {node_id} is not there"))
        if isinstance(left, FakeArtifactError):
            if left.reason == "Unreachable" and self.reads[node_id] > 1:
                return b'{"metrics": [{"name": "late", "numberValue": 1}]}'
            raise left
        return left
