"""Edits that terminate, retry, archive or unarchive a run, or the reason why an edit is refused (docs/lifecycle.md).

`kubectl runwright` and the run service send them to the API server.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runwright.api.labels import STORAGE_STATE_LABEL
from runwright.api.states import Phase, Shutdown, StorageState
from runwright.kube.objects import Json, as_mapping, as_text, labels_of, spec_of, status_of

FAILED_PHASES = (Phase.FAILED, Phase.ERROR)
ENDED_PHASES = tuple(phase for phase in Phase if phase.finished)


@dataclass(frozen=True, slots=True)
class Edit:
    """The edit of one run."""

    message: str
    """Message for the user."""
    patch: Json | None = None
    """Merge patch; None if nothing has to change or the edit is refused."""
    refused: bool = False
    """Whether the run's state does not allow the edit."""


Editor = Callable[[Json], Edit]


def run_phase(run: Json) -> str:
    """The run's phase; empty if it has none yet."""
    return as_text(status_of(run).get("phase"))


def is_retry_requested(run: Json) -> bool:
    """Whether `spec.retries` requests an attempt that has not started."""
    asked, done = retry_counter(run, "spec"), retry_counter(run, "status")
    return run_phase(run) in FAILED_PHASES and asked > done


def has_ended(run: Json) -> bool:
    """Whether the run has ended and no further attempt is requested."""
    return run_phase(run) in ENDED_PHASES and not is_retry_requested(run)


def is_labeled_archived(run: Json) -> bool:
    """Whether the run's label requests that it is archived."""
    labels = labels_of(run)
    return labels.get(STORAGE_STATE_LABEL) == StorageState.ARCHIVED


def shutdown_edit(how: Shutdown) -> Editor:
    """The edit that ends a run early. The only allowed change of an existing shutdown is `Stop` to `Terminate`."""

    def decide(run: Json) -> Edit:
        now = as_text(spec_of(run).get("shutdown"))
        if has_ended(run):
            if now:
                return Edit(f"unchanged: it was terminated and has ended as {run_phase(run)}")
            return Edit(f"it has ended as {run_phase(run)}: there is nothing left to terminate", refused=True)
        if is_retry_requested(run):
            return Edit(f"retry {retry_counter(run, 'spec')} has not begun: terminate it when it has", refused=True)
        if now in (how, Shutdown.TERMINATE):
            return Edit(f"unchanged: it is already ending (spec.shutdown is {now})")
        return Edit("terminated" if how is Shutdown.TERMINATE else "stopped", {"spec": {"shutdown": how.value}})

    return decide


def retry_edit(run: Json) -> Edit:
    """The edit that retries a failed run. It also removes a shutdown and unarchives the run."""
    if is_retry_requested(run):
        return Edit(f"unchanged: retry {retry_counter(run, 'spec')} is already requested")
    if run_phase(run) not in FAILED_PHASES:
        now = f"is {run_phase(run)}" if run_phase(run) else "has not begun"
        return Edit(f"it {now}: only a run that is Failed or Error can be retried", refused=True)
    number = retry_counter(run, "status") + 1
    spec: dict[str, Any] = {"retries": number}
    patch: dict[str, Any] = {"spec": spec}
    message = f"retried (retry {number})"
    if spec_of(run).get("shutdown"):
        spec["shutdown"] = None
    if is_labeled_archived(run):
        patch["metadata"] = {"labels": {STORAGE_STATE_LABEL: None}}
        message = f"unarchived and {message}"
    return Edit(message, patch)


def archive_edit(run: Json) -> Edit:
    """The edit that archives a run; the operator carries it out once the run has ended."""
    if is_labeled_archived(run):
        return Edit("unchanged: it is already archived")
    patch = {"metadata": {"labels": {STORAGE_STATE_LABEL: StorageState.ARCHIVED.value}}}
    return Edit("archived" if has_ended(run) else "will be archived when it has ended", patch)


def unarchive_edit(run: Json) -> Edit:
    """The edit that unarchives a run."""
    if not is_labeled_archived(run):
        return Edit("unchanged: it is not archived")
    return Edit("unarchived", {"metadata": {"labels": {STORAGE_STATE_LABEL: None}}})


def retry_counter(run: Json, part: str) -> int:
    """`retries` of the spec or the status; 0 if it is absent."""
    value = as_mapping(run.get(part)).get("retries")
    return value if isinstance(value, int) else 0
