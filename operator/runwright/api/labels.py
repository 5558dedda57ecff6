"""Labels, annotations and label selectors of runs and Workflows."""

from __future__ import annotations

from runwright.api.resources import GROUP
from runwright.api.states import StorageState

RUN_LABEL = f"{GROUP}/run"
"""On a Workflow: the name of its PipelineRun, in the same namespace. The operator's watch selects by it."""

STORAGE_STATE_LABEL = f"{GROUP}/storage-state"
"""On a PipelineRun: the requested storage state, `Archived` or `Available` (the default)."""

SHARD_LABEL = f"{GROUP}/shard"
"""On a Workflow: the shard of its run, if there are shards."""

IMPORTED_ANNOTATION = f"{GROUP}/imported-from"
"""On a PipelineRun: the uid before its export. Until it has a phase, it waits for the import to write its status."""

DELETE_ON_LABEL = f"{GROUP}/delete-on"
"""On an archived PipelineRun: the UTC date (`2026-11-24`) on which retention deletes it."""

WORKFLOW_LABEL = "workflows.argoproj.io/workflow"
"""On pods and WorkflowTaskResults: the name of their Workflow (Argo 3.7, `LabelKeyWorkflow`)."""

NODE_ANNOTATION = "workflows.argoproj.io/node-id"
"""On a pod: the id of its node (Argo 3.7, `AnnotationKeyNodeID`). A WorkflowTaskResult has the node's id as its name."""

MANIFEST_LABEL = f"{GROUP}/manifest"
"""On a PipelineManifest of the run service, and on the runs created with it: the first half of the manifest's SHA-256.

On a ConfigMap, with any value: runs may read manifests from it, and everybody who may read a run can then read its manifest.
"""

USED_AT = f"{GROUP}/used-at"
"""Annotation of a PipelineManifest of the run service: when a run was last created with it, to within minutes. Absent since its
creation for the first run."""

ARCHIVED_RUNS = f"{STORAGE_STATE_LABEL}={StorageState.ARCHIVED.value}"
"""Label selector of the runs that are labeled as archived."""

AVAILABLE_RUNS = f"{STORAGE_STATE_LABEL}!={StorageState.ARCHIVED.value}"
"""Label selector of all other runs: the operator watches these."""
