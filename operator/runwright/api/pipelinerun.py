"""`PipelineRun` (`runwright.dev/v1alpha1`): the models that the CRD and the reference page are generated from.

`kubectl explain` prints a field's description. Constraints that JSON schema supports are pydantic constraints; those that
need CEL are in `runwright.api.rules`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from runwright.api.labels import MANIFEST_LABEL, STORAGE_STATE_LABEL
from runwright.api.model import Duration, Model, Name
from runwright.api.resources import API_VERSION, PIPELINE_RUNS
from runwright.api.states import Phase, Shutdown, StorageState

KIND = "PipelineRun"
PLURAL = PIPELINE_RUNS.plural
SHORT_NAME = "prun"

MAX_NAME = 63
"""Characters of a run's name. The name is also the value of `RUN_LABEL`, and a label value has at most 63 characters."""

MAX_MANIFEST = 1_000_000
"""Characters of `spec.workflow.manifest`. etcd refuses objects over 1.5 MB, and the Workflow contains the text too."""

MAX_NODES = 512
"""Items of `status.nodes`; the byte budget of `core/workflow/nodes.py` is a tighter limit."""

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


class PipelineManifestRef(Model):
    """A PipelineManifest in the run's namespace."""

    name: Name = Field(description="Name of the PipelineManifest.")


class ManifestFrom(Model):
    """A manifest that many runs can share: exactly one of pipelineManifestRef and configMapKeyRef."""

    pipeline_manifest_ref: PipelineManifestRef | None = Field(
        default=None, description="The PipelineManifest that holds the manifest."
    )
    config_map_key_ref: ConfigMapKeyRef | None = Field(
        default=None,
        description="The ConfigMap key that holds the manifest. The ConfigMap needs the label "
        f"`{MANIFEST_LABEL}`, with any value: everybody who may read the run can read the manifest.",
    )
    digest: Annotated[str, Field(pattern=DIGEST_PATTERN, max_length=71)] | None = Field(
        default=None,
        description="SHA-256 of the manifest's UTF-8 bytes as `sha256:<64 hex digits>`. If set, a manifest with "
        "another digest is refused, so an edit of the ConfigMap cannot change what the run does.",
    )


class WorkflowSource(Model):
    """What to run: exactly one of the four fields."""

    manifest: Annotated[str, Field(min_length=1, max_length=MAX_MANIFEST)] | None = Field(
        default=None,
        description="One Argo Workflow as YAML or JSON text, as the KFP 1.8 SDK and Hera write it. The run's name and "
        "namespace replace its name, generateName and namespace; its labels and annotations are kept.",
    )
    spec: dict[str, Any] | None = Field(
        default=None,
        description="An Argo WorkflowSpec: the `spec` of a Workflow.",
    )
    template_ref: TemplateRef | None = Field(
        default=None, description="A WorkflowTemplate or ClusterWorkflowTemplate in the cluster."
    )
    manifest_from: ManifestFrom | None = Field(
        default=None,
        description="A manifest in a PipelineManifest or a ConfigMap, which many runs can share.",
    )


class Parameter(Model):
    """The value of one parameter of the Workflow."""

    name: Name = Field(description="Name of a parameter in the Workflow's `spec.arguments.parameters`.")
    value: Annotated[str, Field(max_length=65_536)] = Field(
        description="Value of the parameter; write numbers and lists as JSON text."
    )


class Reference(Model):
    """An object that a run belongs to or was created by: `resource_references` in run.proto."""

    type: Literal["EXPERIMENT", "JOB", "PIPELINE", "PIPELINE_VERSION", "NAMESPACE"] = Field(
        description="Type of the object."
    )
    id: Name = Field(description="Id of the object.")
    name: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="Name of the object, for people."
    )
    relationship: Literal["OWNER", "CREATOR"] = Field(
        default="OWNER", description="OWNER: the run belongs to the object. CREATOR: the object created the run."
    )


class Pipeline(Model):
    """The pipeline of a run: a record for people and clients. The operator ignores it."""

    id: Annotated[str, Field(max_length=253)] | None = Field(default=None, description="Id of the pipeline.")
    name: Annotated[str, Field(max_length=253)] | None = Field(default=None, description="Name of the pipeline.")
    manifest: Annotated[str, Field(max_length=262_144)] | None = Field(
        default=None, description="Manifest of the pipeline that the Workflow was compiled from."
    )


class Retention(Model):
    """Retention periods, counted from the end of the run. Durations: `90s`, `15m`, `36h`, `7d`, `1h30m`."""

    archive_after: Duration | None = Field(default=None, description="Archive the run this long after its end.")
    delete_after: Duration | None = Field(default=None, description="Delete the run this long after its end.")
    keep_workflow: Duration | None = Field(
        default=None, description="Delete the Workflow and its pods this long after the end of the run."
    )


class PipelineRunSpec(Model):
    """The desired run."""

    display_name: Annotated[str, Field(max_length=255)] | None = Field(
        default=None, description="Name for people; need not be unique. `Run.name` in the KFP API."
    )
    description: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, description="Purpose of the run. `Run.description` in the KFP API."
    )
    workflow: WorkflowSource = Field(
        description="What to run: exactly one of manifest, spec, templateRef and manifestFrom. Cannot change after the "
        "Workflow is created."
    )
    parameters: Annotated[list[Parameter], Field(max_length=512)] | None = Field(
        default=None,
        description="Values of the Workflow's parameters. A parameter that the Workflow does not declare is refused. "
        "A parameter without a default must be given.",
    )
    service_account_name: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="Service account of the pods; overrides the manifest's."
    )
    references: Annotated[list[Reference], Field(max_length=64)] | None = Field(
        default=None,
        description="Objects that the run belongs to or was created by. `Run.resource_references` in the KFP API.",
    )
    pipeline: Pipeline | None = Field(default=None, description="Pipeline that the run was created from.")
    shutdown: Shutdown | None = Field(
        default=None,
        description="Ends the run early. Stop: ends the running steps, then runs exit handlers. Terminate: runs no exit "
        "handlers. Cannot be undone.",
    )
    retries: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Retry counter; it only grows. To retry a run in phase Failed or Error, set it to `status.retries` + 1. "
        "The value at creation is the start of the counter and retries nothing.",
    )
    retention: Retention | None = Field(default=None, description="Retention periods of the run and its Workflow.")


class Condition(Model):
    """A condition of the run, as kubectl wait, kstatus and Argo CD read it."""

    type: Annotated[str, Field(min_length=1, max_length=316)] = Field(
        description="Succeeded: Unknown until the run ends. Stalled: True if a person must act. Archived: True if the run "
        "is archived. MetricsCollected: False if some metrics could not be collected."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    reason: Annotated[str, Field(min_length=1, max_length=128)] = Field(description="Reason in one CamelCase word.")
    message: Annotated[str, Field(max_length=2048)] = Field(default="", description="Reason for people.")
    last_transition_time: datetime = Field(description="Time of the last change of `status`.")
    observed_generation: int | None = Field(
        default=None, description="`metadata.generation` of the run when the condition was set."
    )


class WorkflowReference(Model):
    """Reference to the Workflow of a run."""

    name: Name = Field(description="Name of the Workflow, in the run's namespace.")
    uid: Annotated[str, Field(max_length=64)] = Field(description="UID of the Workflow.")


class NodeStatus(Model):
    """Summary of one node of the Workflow."""

    id: Annotated[str, Field(max_length=253)] = Field(description="Argo's node id.")
    name: Annotated[str, Field(max_length=1024)] = Field(description="Argo's display name of the node.")
    type: Annotated[str, Field(max_length=32)] = Field(
        description="Argo's node type: Pod, Steps, DAG, Retry, Suspend …"
    )
    phase: Annotated[str, Field(max_length=32)] = Field(description="Argo's phase of the node.")
    started_at: datetime | None = Field(default=None, description="Start time of the node.")
    finished_at: datetime | None = Field(default=None, description="End time of the node.")
    message: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="Argo's message for a node that did not succeed, cut to 256 bytes."
    )


class OutputParameter(Model):
    """An output parameter of the run."""

    name: Name = Field(description="Name of the output parameter.")
    value: Annotated[str, Field(max_length=65_536)] | None = Field(
        default=None, description="Value; absent if it is too long to keep here. The Workflow has it."
    )


class OutputArtifact(Model):
    """An output artifact of the run."""

    name: Name = Field(description="Name of the output artifact.")
    key: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="Key in the artifact repository."
    )


class Outputs(Model):
    """Outputs of the Workflow: those of its entrypoint and global outputs."""

    parameters: Annotated[list[OutputParameter], Field(max_length=256)] | None = Field(
        default=None, description="Output parameters."
    )
    artifacts: Annotated[list[OutputArtifact], Field(max_length=256)] | None = Field(
        default=None, description="Output artifacts."
    )
    omitted: int | None = Field(default=None, description="Number of outputs left out to keep the run small.")


class Metric(Model):
    """A number that a node reported: `RunMetric` in run.proto."""

    name: Annotated[str, Field(min_length=1, max_length=64)] = Field(description="Name of the metric.")
    node_id: Annotated[str, Field(alias="nodeID", min_length=1, max_length=128)] = Field(
        description="Id of the node that reported it."
    )
    value: float = Field(allow_inf_nan=False, description="Value of the metric; a finite number.")
    format: Literal["UNSPECIFIED", "RAW", "PERCENTAGE"] = Field(
        default="UNSPECIFIED", description="How to show the number."
    )


class PipelineRunStatus(Model):
    """The observed state of the run. Only the operator writes it."""

    observed_generation: int | None = Field(
        default=None, description="`metadata.generation` of the run when the operator last decided about it."
    )
    phase: Phase | None = Field(default=None, description="Phase of the run, in the words of the KFP API.")
    message: Annotated[str, Field(max_length=2048)] | None = Field(
        default=None, description="Argo's message about the Workflow, or why the run has none."
    )
    conditions: Annotated[list[Condition], Field(max_length=16)] | None = Field(
        default=None, description="Succeeded, Stalled, Archived and MetricsCollected."
    )
    scheduled_at: datetime | None = Field(default=None, description="Time at which the run was to start.")
    started_at: datetime | None = Field(default=None, description="Time at which Argo started the Workflow.")
    finished_at: datetime | None = Field(default=None, description="Time at which the run ended.")
    duration: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="Time from startedAt to finishedAt, such as `1m12s`, once the run has ended."
    )
    progress: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="Argo's progress: completed pods/known pods, such as `3/5`."
    )
    retries: int | None = Field(
        default=None,
        description="Number of the current attempt: the value of `spec.retries` that the Workflow was created or retried "
        "for. Starts as `spec.retries` at creation.",
    )
    workflow: WorkflowReference | None = Field(default=None, description="Workflow of the run.")
    nodes: Annotated[list[NodeStatus], Field(max_length=MAX_NODES)] | None = Field(
        default=None,
        description="Summary of the Workflow's nodes, oldest first. If not all fit, failed nodes are kept first.",
    )
    nodes_omitted: int | None = Field(
        default=None, description="Number of nodes left out to keep the run small. The Workflow has them."
    )
    outputs: Outputs | None = Field(default=None, description="Outputs of the Workflow.")
    metrics: Annotated[list[Metric], Field(max_length=512)] | None = Field(
        default=None, description="Metrics that nodes reported. The first value for a node and a name is kept."
    )
    storage_state: StorageState | None = Field(
        default=None,
        description=f"Observed storage state: Archived once the operator has carried out the label "
        f"`{STORAGE_STATE_LABEL}`; otherwise Available or absent.",
    )


class PipelineRun(Model):
    """A PipelineRun runs an Argo Workflow once and records the result."""

    api_version: str = API_VERSION
    kind: str = KIND
    metadata: dict[str, Any] = Field(default_factory=dict[str, Any])
    spec: PipelineRunSpec = Field(description="The desired run.")
    status: PipelineRunStatus | None = Field(
        default=None, description="The observed state of the run. Only the operator writes it."
    )
