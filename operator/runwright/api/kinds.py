"""The kinds of `runwright.dev`, each with what Kubernetes must know of it beside its model: names, columns, selectors, rules."""

from __future__ import annotations

from dataclasses import dataclass

from runwright.api import labels, pipelineexperiment, pipelinerun, retentionpolicy, workflowsnapshot
from runwright.api.model import Model
from runwright.api.rules import PIPELINE_RUN_RULES, RETENTION_POLICY_RULES, Rule


@dataclass(frozen=True, slots=True)
class Column:
    """What `kubectl get` shows of an object."""

    name: str
    path: str
    """JSONPath of its value, with a dot at the start."""
    description: str
    type: str = "string"
    """`string`, `integer` or `date`; a date is shown as the time since."""
    wide: bool = False
    """Whether it is shown with `-o wide` only."""


@dataclass(frozen=True, slots=True)
class ApiLabel:
    """A label that is part of the API."""

    name: str
    on: str
    """The kind that carries it."""
    meaning: str


@dataclass(frozen=True, slots=True)
class EditWindow:
    """Which fields may be edited when; the rules hold it."""

    fields: tuple[str, ...]
    when: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind, namespaced: what its CRD and its reference page are made from."""

    model: type[Model]
    name: str
    plural: str
    columns: tuple[Column, ...]
    short_name: str = ""
    has_status: bool = False
    """Whether `status` is a subresource, which only its own requests write."""
    selectable_fields: tuple[str, ...] = ()
    """What `--field-selector` can ask for, besides metadata.name and namespace. The API server allows eight."""
    edits: tuple[EditWindow, ...] = ()
    """Empty: every field at any time."""
    rules: tuple[Rule, ...] = ()
    labels: tuple[ApiLabel, ...] = ()
    notes: str = ""
    """What the reference page says before its tables."""


_AGE = Column("Age", ".metadata.creationTimestamp", "Time since it was created.", type="date")

PIPELINE_RUN = Kind(
    model=pipelinerun.PipelineRun,
    name=pipelinerun.KIND,
    plural=pipelinerun.PLURAL,
    short_name=pipelinerun.SHORT_NAME,
    has_status=True,
    columns=(
        Column("Phase", ".status.phase", "Where the run is."),
        Column(
            "Reason",
            '.status.conditions[?(@.type=="Succeeded")].reason',
            "Why, in one word: the reason of the condition Succeeded.",
        ),
        Column("Progress", ".status.progress", "Pods done of those that are known."),
        Column("Duration", ".status.duration", "From start to end, once the run has ended."),
        _AGE,
        Column("Display Name", ".spec.displayName", "What people call the run.", wide=True),
        Column("Workflow", ".status.workflow.name", "The Workflow that carries the run out.", wide=True),
        Column(
            "Storage",
            ".status.storageState",
            "Archived once the run is; or Available, or nothing, which means the same.",
            wide=True,
        ),
        Column("Message", ".status.message", "What Argo says about the Workflow, or why the run has none.", wide=True),
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
        EditWindow(("spec.workflow", "spec.parameters", "spec.serviceAccountName"), "until the run has its Workflow"),
        EditWindow(("spec.shutdown",), "while the run has not ended; it is removed in the edit that retries the run"),
        EditWindow(("spec.retries",), "to `status.retries` + 1 while `status.phase` is Failed or Error"),
    ),
    rules=PIPELINE_RUN_RULES,
    labels=(
        ApiLabel(
            labels.STORAGE_STATE_LABEL,
            pipelinerun.KIND,
            "What is asked for: `Archived`; or `Available`, which is also what its absence means. `storage_state` in the "
            "KFP API. `status.storageState` tells what was carried out.",
        ),
        ApiLabel(
            labels.DELETE_ON_LABEL,
            pipelinerun.KIND,
            "Date in UTC, such as `2026-11-24`, on which its retention deletes an archived run; the operator writes it.",
        ),
        ApiLabel(labels.RUN_LABEL, "Workflow, WorkflowSnapshot", "Name of the PipelineRun that it belongs to."),
        ApiLabel(
            labels.SHARD_LABEL,
            "Workflow",
            "Name of the shard whose operator looks after the run, where there are several; the operator writes it.",
        ),
    ),
    notes="A path with `[]` is a field of each item of a list. Server-side apply merges a list by the keys that are named for it. "
    "A field without a default may be absent. `kubectl apply` without `--server-side` keeps a copy of the object in an "
    "annotation that ends at 262,144 bytes: use `kubectl apply --server-side` or `kubectl create` for a larger manifest.",
)

RETENTION_POLICY = Kind(
    model=retentionpolicy.RetentionPolicy,
    name=retentionpolicy.KIND,
    plural=retentionpolicy.PLURAL,
    columns=(
        Column("Archive After", ".spec.archiveAfter", "Runs are archived this long after their end."),
        Column("Delete After", ".spec.deleteAfter", "Runs are deleted this long after their end."),
        Column(
            "Keep Workflow",
            ".spec.keepWorkflow",
            "Workflows and pods are deleted this long after the end of their run.",
        ),
        Column(
            "Keep Succeeded", ".spec.keepSucceeded", "How many Succeeded and Skipped runs are kept.", type="integer"
        ),
        Column("Keep Failed", ".spec.keepFailed", "How many Failed and Error runs are kept.", type="integer"),
        _AGE,
    ),
    rules=RETENTION_POLICY_RULES,
    notes="A namespace has one, by the name `default`, or none. What a run says in its own `spec.retention` comes first, then "
    "the policy of its namespace, then the operator's own defaults, field by field.",
)

WORKFLOW_SNAPSHOT = Kind(
    model=workflowsnapshot.WorkflowSnapshot,
    name=workflowsnapshot.KIND,
    plural=workflowsnapshot.PLURAL,
    columns=(
        Column("Attempt", ".attempt", "The attempt of the run whose Workflow it is.", type="integer"),
        Column("Workflow UID", ".workflowUID", "UID of the Workflow.", wide=True),
        _AGE,
    ),
    notes="The operator makes one when a run is archived or its Workflow goes, by the name of the run, and reads it when the run "
    "is unarchived or retried. It belongs to the run by an owner reference, so that it goes with it. What it holds can be "
    "read with `kubectl get workflowsnapshot NAME -o jsonpath={.data} | base64 -d | gunzip`.",
)

PIPELINE_EXPERIMENT = Kind(
    model=pipelineexperiment.PipelineExperiment,
    name=pipelineexperiment.KIND,
    plural=pipelineexperiment.PLURAL,
    short_name=pipelineexperiment.SHORT_NAME,
    columns=(
        Column("Display Name", ".spec.displayName", "What people call it."),
        Column(
            "Storage",
            ".metadata.labels.runwright\\.dev/storage-state",
            "Archived, or Available, or nothing, which means the same.",
        ),
        _AGE,
    ),
    labels=(
        ApiLabel(
            labels.STORAGE_STATE_LABEL,
            pipelineexperiment.KIND,
            "`Archived`; or `Available`, which is also what its absence means. `storage_state` in the KFP API. The runs of an "
            "archived experiment are archived once, when the run service archives it.",
        ),
    ),
    notes="The run service makes one where a client creates an experiment, or a run without one (`Default`). Nothing but that "
    "service acts on it; runs stay when it is deleted.",
)

KINDS = (PIPELINE_RUN, RETENTION_POLICY, WORKFLOW_SNAPSHOT, PIPELINE_EXPERIMENT)
