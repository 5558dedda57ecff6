"""Snapshots of finished Workflows: created before a Workflow is deleted, read to restore it."""

from __future__ import annotations

from typing import Any

from runwright.api.resources import WORKFLOW_SNAPSHOTS
from runwright.controller.lane import Lane
from runwright.core.archive.snapshot import (
    belongs_to_run,
    holds_workflow,
    is_of_current_attempt,
    is_of_later_attempt,
    pack_snapshot,
    restore_workflow,
)
from runwright.core.records import RunRecord
from runwright.core.workflow.record import has_many_nodes
from runwright.kube.client import Client, get_if_served
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, as_text, key_of, uid_of

LARGE_DATA = 64 * 1024
"""Characters of a snapshot's data that unpack to about 1 MB."""


def is_large_snapshot(snapshot: Json) -> bool:
    """Whether unpacking a snapshot takes long."""
    return len(as_text(snapshot.get("data"))) > LARGE_DATA


class Snapshots:
    """The WorkflowSnapshots of runs: at most one for each run."""

    def __init__(self, client: Client, lane: Lane) -> None:
        self._client = client
        self._lane = lane

    async def keep(self, run: RunRecord, workflow: Json) -> int:
        """Ensure a snapshot of this Workflow; returns its size in bytes, 0 if it would be too large.

        Raises ApiError if the API server refuses or does not reply, and Conflict if another operator writes it too.
        """
        snapshot = await self._lane.thread(has_many_nodes(workflow), run.key.namespace, pack_snapshot, run, workflow)
        if snapshot is None:
            return 0
        size = len(snapshot["data"])
        try:
            await self._client.create(WORKFLOW_SNAPSHOTS, snapshot)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            there = await self._get(run.key)
            if there is not None and await self._lane.thread(
                is_large_snapshot(there), run.key.namespace, holds_workflow, there, run, workflow
            ):
                return size
            if there is not None and is_of_later_attempt(there, run, snapshot):
                raise ApiError(409, "Conflict", "a snapshot of a later attempt is there") from error
            # Of an earlier attempt, or of an earlier run of this name.
            if there is not None:
                await self._client.delete(WORKFLOW_SNAPSHOTS, key_of(there), uid=uid_of(there))
            await self._client.create(WORKFLOW_SNAPSHOTS, snapshot)
        return size

    async def there(self, run: RunRecord) -> bool:
        """Whether the attempt in the run's status has a snapshot."""
        snapshot = await self._get(run.key)
        return snapshot is not None and is_of_current_attempt(snapshot, run)

    async def finished_workflow(self, run: RunRecord) -> dict[str, Any] | None:
        """The Workflow of the run's last attempt, ready to be created again; None without a snapshot."""
        snapshot = await self._get(run.key)
        if snapshot is None or not is_of_current_attempt(snapshot, run):
            return None
        return await self._lane.thread(is_large_snapshot(snapshot), run.key.namespace, restore_workflow, snapshot, run)

    async def last_workflow(self, run: RunRecord) -> dict[str, Any] | None:
        """The Workflow of the latest attempt that has a snapshot; it may be an earlier attempt."""
        snapshot = await self._get(run.key)
        if snapshot is None or not belongs_to_run(snapshot, run):
            return None
        return await self._lane.thread(is_large_snapshot(snapshot), run.key.namespace, restore_workflow, snapshot, run)

    async def _get(self, key: Key) -> Json | None:
        return await get_if_served(self._client, WORKFLOW_SNAPSHOTS, key)
