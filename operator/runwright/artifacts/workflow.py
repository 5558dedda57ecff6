"""Reads the Workflow of a run from the cluster, or else from the run's snapshot."""

from __future__ import annotations

import asyncio

from runwright.api.resources import WORKFLOW_SNAPSHOTS, WORKFLOWS
from runwright.core.archive.snapshot import unpack_snapshot
from runwright.core.workflow.record import controller_reference
from runwright.kube.client import Client
from runwright.kube.objects import Json, Key, as_text, metadata_of


async def kept_workflow(client: Client, key: Key, uid: str) -> Json | None:
    """The Workflow of the run with this uid: from the cluster, or else from its snapshot; None if neither exists."""
    workflow = await client.get(WORKFLOWS, key)
    if workflow is not None and owner_uid(workflow) == uid:
        return workflow
    snapshot = await client.get(WORKFLOW_SNAPSHOTS, key)
    if snapshot is not None and owner_uid(snapshot) == uid:
        return await asyncio.to_thread(unpack_snapshot, snapshot)
    return None


def owner_uid(body: Json) -> str:
    """UID of the run that controls an object; empty if there is none."""
    return as_text(controller_reference(metadata_of(body)).get("uid"))
