"""Condition types, their reasons, and functions to set them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from runwright.api.pipelinerun import Condition
from runwright.core.status.sizes import shorten

SUCCEEDED = "Succeeded"
STALLED = "Stalled"
ARCHIVED = "Archived"
METRICS_COLLECTED = "MetricsCollected"
"""False if some metrics of the run's nodes could not be collected; otherwise absent."""

NODES_MIRRORED = "NodesMirrored"
"""False if the nodes of the run's Workflow could not be read; otherwise absent."""

ConditionStatus = Literal["True", "False", "Unknown"]

WORKFLOW_DELETED = "WorkflowDeleted"
WORKFLOW_REFUSED = "WorkflowRefused"
"""Argo refused the Workflow before it ran anything; the message is Argo's."""
WORKFLOW_NAME_TAKEN = "WorkflowNameTaken"
PREVIOUS_WORKFLOW = "PreviousWorkflow"
"""The Workflow of an earlier run with the same name is still being deleted."""
NAMESPACE_TERMINATING = "NamespaceTerminating"
ARGO_NOT_INSTALLED = "ArgoNotInstalled"
CLEARED = "Cleared"
METRICS_REFUSED = "MetricsRefused"
NODES_UNREADABLE = "NodesUnreadable"
"""Reason of NodesMirrored=False: `status.compressedNodes` of the Workflow is invalid, or beyond a bound."""
KEPT = "WorkflowKept"
"""Reason of Archived=True: a snapshot of the Workflow exists."""
NOTHING_TO_KEEP = "NoWorkflow"
"""Reason of Archived=True: the run has no Workflow."""
TOO_LARGE = "WorkflowTooLarge"
"""Reason of Archived=True: the Workflow is too large for a snapshot, so it stays."""
UNARCHIVED = "Unarchived"
"""Reason of Archived=False."""

MESSAGE_LIMIT = 1024
"""Bytes of a condition's message. It is part of every list of runs, and Argo's messages can be very long."""


def find_condition(conditions: Sequence[Condition] | None, kind: str) -> Condition | None:
    """The condition of type `kind`, or None."""
    return next((c for c in conditions or () if c.type == kind), None)


def clear_stalled(conditions: Sequence[Condition] | None, *, now: datetime, generation: int) -> list[Condition]:
    """The conditions with Stalled set to False, if the run has that condition."""
    if find_condition(conditions, STALLED) is None:
        return list(conditions or ())
    return set_condition(conditions, STALLED, "False", CLEARED, "", now=now, generation=generation)


def set_condition(
    conditions: Sequence[Condition] | None,
    kind: str,
    status: ConditionStatus,
    reason: str,
    message: str,
    *,
    now: datetime,
    generation: int,
) -> list[Condition]:
    """The conditions with this one set, in the same order.

    `lastTransitionTime` changes only with the status (Kubernetes API conventions).
    """
    old = find_condition(conditions, kind)
    new = Condition(
        type=kind,
        status=status,
        reason=reason,
        message=shorten(message, MESSAGE_LIMIT),
        last_transition_time=old.last_transition_time if old and old.status == status else now.replace(microsecond=0),
        observed_generation=generation,
    )
    if old is None:
        return [*(conditions or ()), new]
    return [new if c.type == kind else c for c in conditions or ()]
