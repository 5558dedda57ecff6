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


Decision = Callable[[Json], Edit]


def phase_of(run: Json) -> str:
    """The run's phase; empty before the first one."""
    return as_text(status_of(run).get("phase"))


def retry_is_due(run: Json) -> bool:
    """Whether a retry is asked for that the status does not tell of yet."""
    asked, done = counter_of(run, "spec"), counter_of(run, "status")
    return phase_of(run) in FAILED_PHASES and asked > done


def ended(run: Json) -> bool:
    """Whether the run has ended, with all attempts that were asked for."""
    return phase_of(run) in ENDED_PHASES and not retry_is_due(run)


def archived(run: Json) -> bool:
    """Whether the run is to be archived."""
    labels = labels_of(run)
    return labels.get(STORAGE_STATE_LABEL) == StorageState.ARCHIVED


def terminate(how: Shutdown) -> Decision:
    """End the run early; `Stop` can become `Terminate`, nothing else."""

    def decide(run: Json) -> Edit:
        now = as_text(spec_of(run).get("shutdown"))
        if ended(run):
            if now:
                return Edit(f"unchanged: it was terminated and has ended as {phase_of(run)}")
            return Edit(f"it has ended as {phase_of(run)}: there is nothing left to terminate", refused=True)
        if retry_is_due(run):
            return Edit(f"retry {counter_of(run, 'spec')} has not begun: terminate it when it has", refused=True)
        if now in (how, Shutdown.TERMINATE):
            return Edit(f"unchanged: it is ending already (spec.shutdown is {now})")
        return Edit("terminated" if how is Shutdown.TERMINATE else "stopped", {"spec": {"shutdown": how.value}})

    return decide


def retry(run: Json) -> Edit:
    """Try what failed again; takes a shutdown back, and a run out of the archive, in the same edit."""
    if retry_is_due(run):
        return Edit(f"unchanged: retry {counter_of(run, 'spec')} is asked for already")
    if phase_of(run) not in FAILED_PHASES:
        now = f"is {phase_of(run)}" if phase_of(run) else "has not begun"
        return Edit(f"it {now}: only a run that is Failed or Error can be retried", refused=True)
    number = counter_of(run, "status") + 1
    spec: dict[str, Any] = {"retries": number}
    patch: dict[str, Any] = {"spec": spec}
    said = f"retried (retry {number})"
    if spec_of(run).get("shutdown"):
        spec["shutdown"] = None
    if archived(run):
        patch["metadata"] = {"labels": {STORAGE_STATE_LABEL: None}}
        said = f"unarchived and {said}"
    return Edit(said, patch)


def archive(run: Json) -> Edit:
    """Archive the run, once it has ended."""
    if archived(run):
        return Edit("unchanged: it is archived already")
    patch = {"metadata": {"labels": {STORAGE_STATE_LABEL: StorageState.ARCHIVED.value}}}
    return Edit("archived" if ended(run) else "will be archived when it has ended", patch)


def unarchive(run: Json) -> Edit:
    """Bring the run back."""
    if not archived(run):
        return Edit("unchanged: it is not archived")
    return Edit("unarchived", {"metadata": {"labels": {STORAGE_STATE_LABEL: None}}})


def counter_of(run: Json, part: str) -> int:
    """`retries` of the spec or the status; 0 where it is absent."""
    value = as_mapping(run.get(part)).get("retries")
    return value if isinstance(value, int) else 0
