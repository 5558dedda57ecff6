"""What a node leaves behind and would find again when it runs anew: its pod and its WorkflowTaskResult."""

from __future__ import annotations

import asyncio

from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.ports import Cluster

DELETED_AT_A_TIME = 16

POD_POLL = 1.0
"""Seconds after which to look again whether a pod has gone: as long as its containers take to end."""


async def clear_leftovers(cluster: Cluster, key: Key, nodes: frozenset[str] | None) -> None:
    """Delete what these nodes left behind, or all nodes where it is None: Argo 3.7 would take it for their new result.

    Raises ApiError Conflict while a pod is still being deleted.
    """
    doomed = [left for left in await cluster.list_leftovers(key) if nodes is None or left.node_id in nodes]
    if not doomed:
        return
    for start in range(0, len(doomed), DELETED_AT_A_TIME):
        await asyncio.gather(*(cluster.delete_leftover(left) for left in doomed[start : start + DELETED_AT_A_TIME]))
    uids = {left.uid for left in doomed}
    still = [left for left in await cluster.list_leftovers(key) if left.uid in uids]
    if still:
        names = ", ".join(left.key.name for left in still[:5])
        message = f"{len(still)} pods of the last attempt are still being deleted: {names}"
        raise ApiError(409, "Conflict", message, wait=POD_POLL)
