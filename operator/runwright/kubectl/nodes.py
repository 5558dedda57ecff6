"""The nodes of a run: read from its Workflow or snapshot, or else from its own status."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from runwright.artifacts.workflow import kept_workflow
from runwright.core.run_record import read_run_status
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, key_of, uid_of
from runwright.kubectl.session import Session
from runwright.kubectl.tree import Tree, tree_of_status, tree_of_workflow


async def read_tree(here: Session, run: Json, *, brief: bool) -> Tree:
    """Read the tree of a run's nodes.

    `brief`, or no right to read the Workflow and the snapshot: the nodes that the run's status keeps.
    """
    key = key_of(run)
    if not brief:
        try:
            workflow = await kept_workflow(here.client, key, uid_of(run))
        except ApiError as error:
            if error.code not in (403, 404):
                raise
            workflow = None
        if workflow is not None:
            tree = await asyncio.to_thread(tree_of_workflow, workflow)
            if tree.nodes:
                return tree
    status = read_run_status(run.get("status"))
    return tree_of_status(key.name, status.nodes or (), status.nodes_omitted or 0)


def utc_now() -> datetime:
    """The time in UTC."""
    return datetime.now(UTC)
