"""Pods and WorkflowTaskResults of nodes that run again: Argo 3.7 reads them as the nodes' new results."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from runwright.api.labels import NODE_ANNOTATION, WORKFLOW_LABEL
from runwright.api.resources import WORKFLOW_TASK_RESULTS
from runwright.controller.scope import list_each_metadata
from runwright.kube.client import Client
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key, annotations_of, as_text, key_of, uid_of
from runwright.kube.resource import PODS, Resource, Selection

DELETED_AT_A_TIME = 16

POD_POLL = 1.0
"""Seconds until the next check whether a pod is gone: about as long as its containers take to end."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A pod or a WorkflowTaskResult of a node."""

    resource: Resource
    key: Key
    uid: str
    node_id: str
    """Empty for a pod without the annotation."""


async def clear_leftovers(client: Client, key: Key, nodes: frozenset[str] | None) -> None:
    """Delete the pods and task results of these nodes of the Workflow; of all its nodes where `nodes` is None.

    Raises ApiError Conflict while a pod is still being deleted.
    """
    doomed = [left for left in await list_leftovers(client, key) if nodes is None or left.node_id in nodes]
    if not doomed:
        return
    for start in range(0, len(doomed), DELETED_AT_A_TIME):
        await asyncio.gather(*(delete_leftover(client, left) for left in doomed[start : start + DELETED_AT_A_TIME]))
    uids = {left.uid for left in doomed}
    still = [left for left in await list_leftovers(client, key) if left.uid in uids]
    if still:
        names = ", ".join(left.key.name for left in still[:5])
        message = f"{len(still)} pods of the last attempt are still being deleted: {names}"
        raise ApiError(409, "Conflict", message, wait=POD_POLL)


async def list_leftovers(client: Client, key: Key) -> list[Leftover]:
    """List the pods and WorkflowTaskResults of a Workflow, by two requests, or two for each page."""
    selection = Selection(key.namespace, labels=f"{WORKFLOW_LABEL}={key.name}")
    pods = [
        Leftover(PODS, key_of(pod), uid_of(pod), as_text(annotations_of(pod).get(NODE_ANNOTATION)))
        async for pod in list_each_metadata(client, PODS, [selection])
    ]
    results = [
        Leftover(WORKFLOW_TASK_RESULTS, key_of(result), uid_of(result), key_of(result).name)
        async for result in list_each_metadata(client, WORKFLOW_TASK_RESULTS, [selection])
    ]
    return pods + results


async def delete_leftover(client: Client, leftover: Leftover) -> None:
    """Delete it, unless it is gone or replaced. A pod exists until its containers have ended."""
    try:
        await client.delete(leftover.resource, leftover.key, uid=leftover.uid)
    except ApiError as error:
        if error.code != 409:  # another object of that name
            raise
