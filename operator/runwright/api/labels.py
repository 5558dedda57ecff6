"""Labels, annotations and label selectors of runs and Workflows."""

from __future__ import annotations

from runwright.api.resources import GROUP
from runwright.api.states import StorageState

RUN_LABEL = f"{GROUP}/run"
"""On a Workflow: the name of its PipelineRun, in the same namespace. What the operator's watch selects by."""

STORAGE_STATE_LABEL = f"{GROUP}/storage-state"
"""On a PipelineRun: `Archived`, or `Available`, which is also what its absence means."""

SHARD_LABEL = f"{GROUP}/shard"
"""On a Workflow: the shard whose operator looks after its run, where there are shards."""

IMPORTED_ANNOTATION = f"{GROUP}/imported-from"
"""On a PipelineRun: the uid that it had where it was exported. Without a phase, it waits for its status."""

DELETE_ON_LABEL = f"{GROUP}/delete-on"
"""On an archived PipelineRun: the date (UTC, `2026-11-24`) from which its retention deletes it."""

ARCHIVED_RUNS = f"{STORAGE_STATE_LABEL}={StorageState.ARCHIVED.value}"
"""Label selector of the runs that are asked to be archived."""

AVAILABLE_RUNS = f"{STORAGE_STATE_LABEL}!={StorageState.ARCHIVED.value}"
"""Label selector of all others: those that the operator watches."""
