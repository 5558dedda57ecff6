"""The kinds of `runwright.dev`: model, names, printer columns, selectable fields, CEL rules and labels of each."""

from __future__ import annotations

from dataclasses import dataclass

from runwright.api import labels, pipelineexperiment, pipelinemanifest, pipelinerun, retentionpolicy, workflowsnapshot
from runwright.api.model import Model
from runwright.api.rules import PIPELINE_MANIFEST_RULES, PIPELINE_RUN_RULES, RETENTION_POLICY_RULES, Rule


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`."""

    name: str
    path: str
    """JSONPath of the value, with a leading dot."""
    description: str
    type: str = "string"
    """`string`, `integer` or `date`; kubectl shows a date as an age."""
    wide: bool = False
    """Whether kubectl shows it with `-o wide` only."""


@dataclass(frozen=True, slots=True)
class ApiLabel:
    """A label that is part of the API."""

    name: str
    on: str
    """The kinds that carry it."""
    meaning: str


@dataclass(frozen=True, slots=True)
class EditWindow:
    """When fields can be changed; the CEL rules enforce it."""

    fields: tuple[str, ...]
    when: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A namespaced kind: the source of its CRD and its reference page."""

    model: type[Model]
    name: str
    plural: str
    columns: tuple[Column, ...]
    short_name: str = ""
    has_status: bool = False
    """Whether `status` is a subresource."""
    selectable_fields: tuple[str, ...] = ()
    """JSONPaths for `--field-selector`, in addition to metadata.name and namespace. The API server allows eight."""
    edits: tuple[EditWindow, ...] = ()
    """Empty: every field can be changed at any time."""
    rules: tuple[Rule, ...] = ()
    labels: tuple[ApiLabel, ...] = ()
    notes: str = ""
    """Text of the reference page before its tables."""


_AGE = Column("Age", ".metadata.creationTimestamp", "Time since creation.", type="date")

PIPELINE_RUN = Kind(
    model=pipelinerun.PipelineRun,
    name=pipelinerun.KIND,
    plural=pipelinerun.PLURAL,
    short_name=pipelinerun.SHORT_NAME,
    has_status=True,
    columns=(
        Column("Phase", ".status.phase", "Phase of the run."),
        Column(
            "Reason",
            '.status.conditions[?(@.type=="Succeeded")].reason',
            "Reason of the condition Succeeded.",
        ),
        Column("Progress", ".status.progress", "Completed pods out of the known pods."),
        Column("Duration", ".status.duration", "Time from start to end, once the run has ended."),
        _AGE,
        Column("Display Name", ".spec.displayName", "Display name of the run.", wide=True),
        Column("Workflow", ".status.workflow.name", "Workflow of the run.", wide=True),
        Column(
            "Storage",
            ".status.storageState",
            "Archived for an archived run; otherwise Available or empty.",
            wide=True,
        ),
        Column("Message", ".status.message", "Argo's message, or why the run has no Workflow.", wide=True),
    ),
    selectable_fields=(
        ".status.phase",
        ".status.storageState",
        ".spec.displayName",
        ".spec.serviceAccountName",
        ".spec.pipeline.id",
        ".spec.shutdown",
        ".spec.workflow.templateRef.name",
        ".spec.workflow.manifestFrom.configMapKeyRef.name",
    ),
    edits=(
        EditWindow(
            ("spec.displayName", "spec.description", "spec.references", "spec.pipeline", "spec.retention"),
            "at any time",
        ),
        EditWindow(
            ("spec.workflow", "spec.parameters", "spec.serviceAccountName"),
            "until the run has a Workflow; `manifestFrom` later too, with the same `digest`",
        ),
        EditWindow(("spec.shutdown",), "until the run ends; remove it in the edit that retries the run"),
        EditWindow(("spec.retries",), "to `status.retries` + 1 while `status.phase` is Failed or Error"),
    ),
    rules=PIPELINE_RUN_RULES,
    labels=(
        ApiLabel(
            labels.STORAGE_STATE_LABEL,
            pipelinerun.KIND,
            "Requested storage state: `Archived`, or `Available` (the default). `storage_state` in the KFP API. "
            "`status.storageState` is the observed state.",
        ),
        ApiLabel(
            labels.DELETE_ON_LABEL,
            pipelinerun.KIND,
            "UTC date, such as `2026-11-24`, on which retention deletes the archived run. Written by the operator.",
        ),
        ApiLabel(labels.RUN_LABEL, "Workflow, WorkflowSnapshot", "Name of its PipelineRun."),
        ApiLabel(labels.MANIFEST_LABEL, "ConfigMap", "With any value: runs may read manifests from the ConfigMap."),
        ApiLabel(
            labels.SHARD_LABEL,
            "Workflow",
            "Shard of the run, if the runs are divided among several operators. Written by the operator.",
        ),
    ),
    notes="A path with `[]` is a field of each list item. Server-side apply merges a list by its keys (column Constraints). "
    "A field without a default can be absent. `kubectl apply` without `--server-side` copies the object into an "
    "annotation of at most 262,144 bytes: use `kubectl apply --server-side` or `kubectl create` for a larger manifest.",
)

RETENTION_POLICY = Kind(
    model=retentionpolicy.RetentionPolicy,
    name=retentionpolicy.KIND,
    plural=retentionpolicy.PLURAL,
    columns=(
        Column("Archive After", ".spec.archiveAfter", "Time after the end of a run at which it is archived."),
        Column("Delete After", ".spec.deleteAfter", "Time after the end of a run at which it is deleted."),
        Column(
            "Keep Workflow",
            ".spec.keepWorkflow",
            "Time after the end of a run at which its Workflow and pods are deleted.",
        ),
        Column(
            "Keep Succeeded", ".spec.keepSucceeded", "Number of Succeeded and Skipped runs to keep.", type="integer"
        ),
        Column("Keep Failed", ".spec.keepFailed", "Number of Failed and Error runs to keep.", type="integer"),
        _AGE,
    ),
    rules=RETENTION_POLICY_RULES,
    notes="A namespace has at most one, named `default`. For each field, a run's own `spec.retention` wins over the policy of "
    "its namespace, and the policy wins over the operator's defaults.",
)

WORKFLOW_SNAPSHOT = Kind(
    model=workflowsnapshot.WorkflowSnapshot,
    name=workflowsnapshot.KIND,
    plural=workflowsnapshot.PLURAL,
    columns=(
        Column("Attempt", ".attempt", "Attempt that the Workflow belongs to.", type="integer"),
        Column("Workflow UID", ".workflowUID", "UID of the Workflow.", wide=True),
        _AGE,
    ),
    notes="The operator creates it when it archives a run or deletes the Workflow of a finished run, under the name of the run, "
    "and reads it when the run is unarchived or retried. The run is its owner, so it is deleted with the run. To print the "
    "Workflow, run `kubectl get workflowsnapshot NAME -o jsonpath={.data} | base64 -d | gunzip`.",
)

PIPELINE_EXPERIMENT = Kind(
    model=pipelineexperiment.PipelineExperiment,
    name=pipelineexperiment.KIND,
    plural=pipelineexperiment.PLURAL,
    short_name=pipelineexperiment.SHORT_NAME,
    columns=(
        Column("Display Name", ".spec.displayName", "Display name of the experiment."),
        Column(
            "Storage",
            ".metadata.labels.runwright\\.dev/storage-state",
            "Archived for an archived experiment; otherwise Available or empty.",
        ),
        _AGE,
    ),
    labels=(
        ApiLabel(
            labels.STORAGE_STATE_LABEL,
            pipelineexperiment.KIND,
            "`Archived`, or `Available` (the default). `storage_state` in the KFP API. The run service archives the runs of an "
            "experiment once, when it archives the experiment.",
        ),
    ),
    notes="The run service creates it when a client creates an experiment, or creates a run without one (`Default`). Only the "
    "run service uses it. Deleting it deletes no runs.",
)

PIPELINE_MANIFEST = Kind(
    model=pipelinemanifest.PipelineManifest,
    name=pipelinemanifest.KIND,
    plural=pipelinemanifest.PLURAL,
    columns=(_AGE,),
    rules=PIPELINE_MANIFEST_RULES,
    labels=(
        ApiLabel(
            labels.MANIFEST_LABEL,
            pipelinemanifest.KIND,
            "First half of the manifest's SHA-256. On those of the run service, which deletes them while no run uses them.",
        ),
    ),
    notes="Runs name it in `spec.workflow.manifestFrom.pipelineManifestRef`. The run service stores the manifests of its runs "
    "so, each once per namespace under its SHA-256, and deletes those that no run has used for an hour. It leaves those alone "
    "that you create.",
)

KINDS = (PIPELINE_RUN, RETENTION_POLICY, WORKFLOW_SNAPSHOT, PIPELINE_EXPERIMENT, PIPELINE_MANIFEST)
