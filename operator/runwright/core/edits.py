"""What is edited of a run to end, retry, archive it or bring it back, or why it is not: from the run alone (docs/lifecycle.md).

`kubectl runwright` and the run service carry these out.
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
    """What is to be done to one run."""

    said: str
    """What people read of it."""
    patch: Json | None = None
    """Merge patch; None where the run is as it should be, or cannot become so."""
    refused: bool = False
    """Whether it cannot become so."""


Editor = Callable[[Json], Edit]


def run_phase(run: Json) -> str:
    """The run's phase; empty before the first one."""
    return as_text(status_of(run).get("phase"))


def is_retry_requested(run: Json) -> bool:
    """Whether a retry is asked for that the status does not tell of yet."""
    asked, done = retry_counter(run, "spec"), retry_counter(run, "status")
    return run_phase(run) in FAILED_PHASES and asked > done


def has_ended(run: Json) -> bool:
    """Whether the run has ended, with all attempts that were asked for."""
    return run_phase(run) in ENDED_PHASES and not is_retry_requested(run)


def is_labeled_archived(run: Json) -> bool:
    """Whether the run is to be archived."""
    labels = labels_of(run)
    return labels.get(STORAGE_STATE_LABEL) == StorageState.ARCHIVED


def shutdown_edit(how: Shutdown) -> Editor:
    """End the run early; `Stop` can become `Terminate`, nothing else."""

    def decide(run: Json) -> Edit:
        now = as_text(spec_of(run).get("shutdown"))
        if has_ended(run):
            if now:
                return Edit(f"unchanged: it was terminated and has ended as {run_phase(run)}")
            return Edit(f"it has ended as {run_phase(run)}: there is nothing left to terminate", refused=True)
        if is_retry_requested(run):
            return Edit(f"retry {retry_counter(run, 'spec')} has not begun: terminate it when it has", refused=True)
        if now in (how, Shutdown.TERMINATE):
            return Edit(f"unchanged: it is ending already (spec.shutdown is {now})")
        return Edit("terminated" if how is Shutdown.TERMINATE else "stopped", {"spec": {"shutdown": how.value}})

    return decide


def retry_edit(run: Json) -> Edit:
    """Try what failed again; takes a shutdown back, and a run out of the archive, in the same edit."""
    if is_retry_requested(run):
        return Edit(f"unchanged: retry {retry_counter(run, 'spec')} is asked for already")
    if run_phase(run) not in FAILED_PHASES:
        now = f"is {run_phase(run)}" if run_phase(run) else "has not begun"
        return Edit(f"it {now}: only a run that is Failed or Error can be retried", refused=True)
    number = retry_counter(run, "status") + 1
    spec: dict[str, Any] = {"retries": number}
    patch: dict[str, Any] = {"spec": spec}
    said = f"retried (retry {number})"
    if spec_of(run).get("shutdown"):
        spec["shutdown"] = None
    if is_labeled_archived(run):
        patch["metadata"] = {"labels": {STORAGE_STATE_LABEL: None}}
        said = f"unarchived and {said}"
    return Edit(said, patch)


def archive_edit(run: Json) -> Edit:
    """Archive the run, once it has ended."""
    if is_labeled_archived(run):
        return Edit("unchanged: it is archived already")
    patch = {"metadata": {"labels": {STORAGE_STATE_LABEL: StorageState.ARCHIVED.value}}}
    return Edit("archived" if has_ended(run) else "will be archived when it has ended", patch)


def unarchive_edit(run: Json) -> Edit:
    """Bring the run back."""
    if not is_labeled_archived(run):
        return Edit("unchanged: it is not archived")
    return Edit("unarchived", {"metadata": {"labels": {STORAGE_STATE_LABEL: None}}})


def retry_counter(run: Json, part: str) -> int:
    """`retries` of the spec or the status; 0 where it is absent."""
    value = as_mapping(run.get(part)).get("retries")
    return value if isinstance(value, int) else 0
