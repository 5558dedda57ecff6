"""Snapshots of finished Workflows: made before a Workflow goes, read when it is wanted back."""

from __future__ import annotations

import asyncio
from typing import Any

from runwright.api.resources import WORKFLOW_SNAPSHOTS
from runwright.core.archive.snapshot import (
    belongs_to_run,
    holds_workflow,
    is_of_current_attempt,
    is_of_later_attempt,
    pack_snapshot,
    restore_workflow,
)
from runwright.core.records import RunRecord
from runwright.kube.client import Client, get_if_served
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, key_of, uid_of


class Snapshots:
    """The WorkflowSnapshots of the runs, one each."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def keep(self, run: RunRecord, workflow: Json) -> int:
        """See to it that there is a snapshot of this Workflow; gives its size in bytes, 0 where it would be too large.

        Raises ApiError where the API server refuses or cannot be reached, and where another one is at it (Conflict).
        """
        snapshot = await asyncio.to_thread(pack_snapshot, run, workflow)
        if snapshot is None:
            return 0
        size = len(snapshot["data"])
        try:
            await self._client.create(WORKFLOW_SNAPSHOTS, snapshot)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            there = await self._get(run.key)
            if there is not None and await asyncio.to_thread(holds_workflow, there, run, workflow):
                return size
            if there is not None and is_of_later_attempt(there, run, snapshot):
                raise ApiError(409, "Conflict", "a snapshot of a later attempt is there") from error
            # Of an earlier attempt, or of an earlier run of this name.
            if there is not None:
                await self._client.delete(WORKFLOW_SNAPSHOTS, key_of(there), uid=uid_of(there))
            await self._client.create(WORKFLOW_SNAPSHOTS, snapshot)
        return size

    async def there(self, run: RunRecord) -> bool:
        """Whether there is a snapshot of the attempt that the run's status tells of."""
        snapshot = await self._get(run.key)
        return snapshot is not None and is_of_current_attempt(snapshot, run)

    async def finished_workflow(self, run: RunRecord) -> dict[str, Any] | None:
        """The Workflow of the run's last attempt as it is to be put back; None where no snapshot has it."""
        snapshot = await self._get(run.key)
        if snapshot is None or not is_of_current_attempt(snapshot, run):
            return None
        return await asyncio.to_thread(restore_workflow, snapshot, run)

    async def last_workflow(self, run: RunRecord) -> dict[str, Any] | None:
        """The Workflow of the last attempt of which something was kept, which may be an earlier one."""
        snapshot = await self._get(run.key)
        if snapshot is None or not belongs_to_run(snapshot, run):
            return None
        return await asyncio.to_thread(restore_workflow, snapshot, run)

    async def _get(self, key: Key) -> Json | None:
        return await get_if_served(self._client, WORKFLOW_SNAPSHOTS, key)
