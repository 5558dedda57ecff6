"""Conditions: how they are set, and which reasons there are."""

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
"""False where some of the metrics that the run's nodes left could not be taken; else not there."""

ConditionStatus = Literal["True", "False", "Unknown"]

WORKFLOW_DELETED = "WorkflowDeleted"
WORKFLOW_REFUSED = "WorkflowRefused"
"""Argo refused the Workflow before it ran anything; the message is Argo's."""
WORKFLOW_NAME_TAKEN = "WorkflowNameTaken"
PREVIOUS_WORKFLOW = "PreviousWorkflow"
"""The Workflow of an earlier run of the same name is still being collected."""
ARGO_NOT_INSTALLED = "ArgoNotInstalled"
CLEARED = "Cleared"
METRICS_REFUSED = "MetricsRefused"
KEPT = "WorkflowKept"
"""Reason of Archived=True: a snapshot of the Workflow was made."""
NOTHING_TO_KEEP = "NoWorkflow"
"""Reason of Archived=True: there was no Workflow any more, or never one."""
TOO_LARGE = "WorkflowTooLarge"
"""Reason of Archived=True: no snapshot can be made, so the Workflow stays."""
UNARCHIVED = "Unarchived"
"""Reason of Archived=False."""

MESSAGE_LIMIT = 1024
"""Bytes of a condition's message: it must stay small in lists, and Argo's messages can be pages."""


def find_condition(conditions: Sequence[Condition] | None, kind: str) -> Condition | None:
    """The condition of this type, or None."""
    return next((c for c in conditions or () if c.type == kind), None)


def clear_stalled(conditions: Sequence[Condition] | None, *, now: datetime, generation: int) -> list[Condition]:
    """The conditions of a run that a person need not act upon: Stalled is False, where it was ever set."""
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
    """The conditions with this one set.

    `lastTransitionTime` moves only when the status does (Kubernetes API conventions). The order of the others stays.
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
