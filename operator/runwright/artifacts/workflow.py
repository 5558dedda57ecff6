"""The Workflow of a run, wherever it is kept: in the cluster, or in the run's snapshot."""

from __future__ import annotations

import asyncio

from runwright.api.resources import WORKFLOW_SNAPSHOTS, WORKFLOWS
from runwright.core.archive.snapshot import unpack_snapshot
from runwright.core.workflow.record import controller_reference
from runwright.kube.objects import Json, Key, as_text, metadata_of
from runwright.ports import ObjectReader


async def kept_workflow(objects: ObjectReader, key: Key, uid: str) -> Json | None:
    """The Workflow of the run with this uid: as it is in the cluster, else out of its snapshot; None where neither is."""
    workflow = await objects.get(WORKFLOWS, key)
    if workflow is not None and owner_uid(workflow) == uid:
        return workflow
    snapshot = await objects.get(WORKFLOW_SNAPSHOTS, key)
    if snapshot is not None and owner_uid(snapshot) == uid:
        return await asyncio.to_thread(unpack_snapshot, snapshot)
    return None


def owner_uid(body: Json) -> str:
    """The uid of the run that an object belongs to."""
    return as_text(controller_reference(metadata_of(body)).get("uid"))
