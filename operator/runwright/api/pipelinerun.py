"""`PipelineRun` (`runwright.dev/v1alpha1`): the models that the CRD and the reference page are generated from.

A field's description is what `kubectl explain` prints. Constraints that JSON schema can say are written as pydantic
constraints; what needs CEL stands in `runwright.api.rules`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from runwright.api.duration import Duration
from runwright.api.labels import STORAGE_STATE_LABEL
from runwright.api.model import Model, Name
from runwright.api.resources import API_VERSION, PIPELINE_RUNS
from runwright.api.states import Phase, Shutdown, StorageState

KIND = "PipelineRun"
PLURAL = PIPELINE_RUNS.plural
SHORT_NAME = "prun"

MAX_NAME = 63
"""A run's name is its Workflow's and the value of `RUN_LABEL`: a label value ends at 63 characters."""

MAX_MANIFEST = 1_000_000
"""Characters of `spec.workflow.manifest`; etcd refuses an object over 1.5 MB, and the Workflow carries the text again."""

MAX_NODES = 512
"""The most nodes that `status.nodes` may hold; the mirror's byte budget ends it much earlier."""

DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"


class TemplateRef(Model):
    """A WorkflowTemplate or ClusterWorkflowTemplate to run."""

    name: Name = Field(description="Name of the template.")
    cluster_scope: bool = Field(
        default=False,
        description="true: a ClusterWorkflowTemplate. false: a WorkflowTemplate in the run's namespace.",
    )


class ConfigMapKeyRef(Model):
    """One key of a ConfigMap in the run's namespace."""

    name: Name = Field(description="Name of the ConfigMap.")
    key: Name = Field(description="Key in the ConfigMap's `data` whose value is the manifest.")


class ManifestFrom(Model):
    """Where a manifest that many runs use is kept once."""

    config_map_key_ref: ConfigMapKeyRef = Field(description="The ConfigMap key that holds the manifest.")
    digest: Annotated[str, Field(pattern=DIGEST_PATTERN, max_length=71)] | None = Field(
        default=None,
        description="SHA-256 of the manifest's UTF-8 bytes as `sha256:<64 hex digits>`. When set, a manifest with "
        "another digest is refused, so that an edited ConfigMap cannot change what a run does.",
    )


class WorkflowSource(Model):
    """What to run: exactly one of the four fields."""

    manifest: Annotated[str, Field(min_length=1, max_length=MAX_MANIFEST)] | None = Field(
        default=None,
        description="Text of one Argo Workflow, YAML or JSON: what the KFP 1.8 SDK and Hera write. Its name, "
        "generateName and namespace are replaced by the run's; its labels and annotations are kept.",
    )
    spec: dict[str, Any] | None = Field(
        default=None,
        description="An Argo WorkflowSpec, inline: what stands under `spec` of a Workflow.",
    )
    template_ref: TemplateRef | None = Field(
        default=None, description="A WorkflowTemplate or ClusterWorkflowTemplate that exists in the cluster."
    )
    manifest_from: ManifestFrom | None = Field(
        default=None,
        description="A manifest kept in a ConfigMap, so that many runs share one copy.",
    )


class Parameter(Model):
    """A value for one of the Workflow's arguments."""

    name: Name = Field(description="Name of a parameter in the Workflow's `spec.arguments.parameters`.")
    value: Annotated[str, Field(max_length=65_536)] = Field(description="The value; numbers and lists as JSON text.")


class Reference(Model):
    """What a run belongs to or was made by: `resource_references` in run.proto."""

    type: Literal["EXPERIMENT", "JOB", "PIPELINE", "PIPELINE_VERSION", "NAMESPACE"] = Field(
        description="What kind of thing is referred to."
    )
    id: Name = Field(description="Id of what is referred to.")
    name: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="Name of what is referred to, for people."
    )
    relationship: Literal["OWNER", "CREATOR"] = Field(
        default="OWNER", description="OWNER: the run belongs to it. CREATOR: it made the run."
    )


class Pipeline(Model):
    """Which pipeline a run came from; a record for people and clients, nothing acts on it."""

    id: Annotated[str, Field(max_length=253)] | None = Field(default=None, description="Id of the pipeline.")
    name: Annotated[str, Field(max_length=253)] | None = Field(default=None, description="Name of the pipeline.")
    manifest: Annotated[str, Field(max_length=262_144)] | None = Field(
        default=None, description="The pipeline's own manifest, where the Workflow was compiled from one."
    )


class Retention(Model):
    """How long what is kept, counted from the end of the run. Durations: `90s`, `15m`, `36h`, `7d`, `1h30m`."""

    archive_after: Duration | None = Field(default=None, description="Archive the run this long after its end.")
    delete_after: Duration | None = Field(default=None, description="Delete the run this long after its end.")
    keep_workflow: Duration | None = Field(
        default=None, description="Delete the Workflow and its pods this long after the end of the run."
    )


class PipelineRunSpec(Model):
    """What is to be run."""

    display_name: Annotated[str, Field(max_length=255)] | None = Field(
        default=None, description="What people read instead of the name; need not be unique. `Run.name` in the KFP API."
    )
    description: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, description="What the run is for. `Run.description` in the KFP API."
    )
    workflow: WorkflowSource = Field(
        description="What to run: exactly one of manifest, spec, templateRef and manifestFrom. Cannot change once a "
        "Workflow was created from it."
    )
    parameters: Annotated[list[Parameter], Field(max_length=512)] | None = Field(
        default=None,
        description="Values for the Workflow's arguments. A name that the Workflow does not declare is refused, and "
        "so is a run that leaves out one that has no default.",
    )
    service_account_name: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="Service account that the pods run as; overrides the manifest's own."
    )
    references: Annotated[list[Reference], Field(max_length=64)] | None = Field(
        default=None, description="What the run belongs to. `Run.resource_references` in the KFP API."
    )
    pipeline: Pipeline | None = Field(default=None, description="Which pipeline the run came from.")
    shutdown: Shutdown | None = Field(
        default=None,
        description="Ends the run early. Stop: running steps end, exit handlers run. Terminate: exit handlers do not "
        "run. Cannot be taken back.",
    )
    retries: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="A counter that only grows: one more than `status.retries` retries a run whose phase is Failed or "
        "Error. What it is when the run is created is where the counter starts, and retries nothing.",
    )
    retention: Retention | None = Field(default=None, description="How long the run and its Workflow are kept.")


class Condition(Model):
    """One statement about the run, in the form that kubectl wait, kstatus and Argo CD read."""

    type: Annotated[str, Field(min_length=1, max_length=316)] = Field(
        description="Succeeded: Unknown until the run ends. Stalled: True when a person must act. Archived: True when "
        "the run is archived."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    reason: Annotated[str, Field(min_length=1, max_length=128)] = Field(description="Why, in one CamelCase word.")
    message: Annotated[str, Field(max_length=2048)] = Field(default="", description="Why, for people.")
    last_transition_time: datetime = Field(description="When `status` last changed.")
    observed_generation: int | None = Field(default=None, description="`metadata.generation` that this speaks of.")


class WorkflowReference(Model):
    """The Workflow that carries a run out."""

    name: Name = Field(description="Name of the Workflow, in the run's namespace.")
    uid: Annotated[str, Field(max_length=64)] = Field(description="UID of the Workflow.")


class NodeStatus(Model):
    """One node of the Workflow, in short."""

    id: Annotated[str, Field(max_length=253)] = Field(description="Argo's node id.")
    name: Annotated[str, Field(max_length=1024)] = Field(description="Argo's display name of the node.")
    type: Annotated[str, Field(max_length=32)] = Field(description="Pod, Steps, DAG, Retry, Suspend …")
    phase: Annotated[str, Field(max_length=32)] = Field(description="Argo's phase of the node.")
    started_at: datetime | None = Field(default=None, description="When the node started.")
    finished_at: datetime | None = Field(default=None, description="When the node ended.")
    message: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="What went wrong, for a node that did not succeed; cut to 256 characters."
    )


class OutputParameter(Model):
    """A parameter that the run put out."""

    name: Name = Field(description="Name of the output parameter.")
    value: Annotated[str, Field(max_length=65_536)] | None = Field(
        default=None, description="Its value; absent where it is too long to keep here (the Workflow has it)."
    )


class OutputArtifact(Model):
    """An artifact that the run put out."""

    name: Name = Field(description="Name of the output artifact.")
    key: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="Its key in the artifact repository."
    )


class Outputs(Model):
    """What the Workflow as a whole put out: its entrypoint's outputs and its global ones."""

    parameters: Annotated[list[OutputParameter], Field(max_length=256)] | None = Field(
        default=None, description="Output parameters."
    )
    artifacts: Annotated[list[OutputArtifact], Field(max_length=256)] | None = Field(
        default=None, description="Output artifacts."
    )
    omitted: int | None = Field(default=None, description="How many outputs were left out to keep the run small.")


class Metric(Model):
    """A number that a node reported: `RunMetric` in run.proto."""

    name: Annotated[str, Field(min_length=1, max_length=64)] = Field(description="Name of the metric.")
    node_id: Annotated[str, Field(alias="nodeID", min_length=1, max_length=128)] = Field(
        description="Id of the node that reported it."
    )
    value: float = Field(allow_inf_nan=False, description="The number; JSON has no NaN and no infinity.")
    format: Literal["UNSPECIFIED", "RAW", "PERCENTAGE"] = Field(
        default="UNSPECIFIED", description="How to show the number."
    )


class PipelineRunStatus(Model):
    """What was seen of the run. Written by the operator alone."""

    observed_generation: int | None = Field(
        default=None, description="`metadata.generation` that the status speaks of."
    )
    phase: Phase | None = Field(default=None, description="Where the run is: the words of the KFP API.")
    message: Annotated[str, Field(max_length=2048)] | None = Field(
        default=None, description="Argo's message about the Workflow, or why the run has none."
    )
    conditions: Annotated[list[Condition], Field(max_length=16)] | None = Field(
        default=None, description="Succeeded, Stalled and Archived."
    )
    scheduled_at: datetime | None = Field(default=None, description="When the run was meant to start.")
    started_at: datetime | None = Field(default=None, description="When Argo started the Workflow.")
    finished_at: datetime | None = Field(default=None, description="When the run ended.")
    duration: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="From startedAt to finishedAt, once the run has ended; e.g. `1m12s`."
    )
    progress: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="Argo's progress: pods done/pods known, e.g. `3/5`."
    )
    retries: int | None = Field(
        default=None,
        description="The `spec.retries` that the run's Workflow carries out: one more with every retry. Starts as what "
        "`spec.retries` was when the run was created.",
    )
    workflow: WorkflowReference | None = Field(default=None, description="The Workflow that carries the run out.")
    nodes: Annotated[list[NodeStatus], Field(max_length=MAX_NODES)] | None = Field(
        default=None, description="The Workflow's nodes in short, oldest first; those that failed are kept first."
    )
    nodes_omitted: int | None = Field(
        default=None, description="How many nodes were left out to keep the run small; the Workflow has them."
    )
    outputs: Outputs | None = Field(default=None, description="What the Workflow put out.")
    metrics: Annotated[list[Metric], Field(max_length=512)] | None = Field(
        default=None, description="Numbers that nodes reported; the first report of a name by a node wins."
    )
    storage_state: StorageState | None = Field(
        default=None,
        description=f"Archived once what the label `{STORAGE_STATE_LABEL}` asks for was carried out; Available, or "
        "absent, while the run is not archived.",
    )


class PipelineRun(Model):
    """A PipelineRun is one run of a pipeline: a Workflow of Argo, described, carried out once and recorded."""

    api_version: str = API_VERSION
    kind: str = KIND
    metadata: dict[str, Any] = Field(default_factory=dict[str, Any])
    spec: PipelineRunSpec = Field(description="What is to be run.")
    status: PipelineRunStatus | None = Field(default=None, description="What was seen of the run.")
