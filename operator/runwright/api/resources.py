"""Resources of `runwright.dev` and of Argo Workflows, for the Kubernetes client."""

from __future__ import annotations

from collections.abc import Mapping

from runwright.kube.resource import CONFIG_MAPS, SERVICE_ACCOUNTS, Resource

GROUP = "runwright.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

PIPELINE_RUNS = Resource(GROUP, VERSION, "pipelineruns")
RETENTION_POLICIES = Resource(GROUP, VERSION, "retentionpolicies")
WORKFLOW_SNAPSHOTS = Resource(GROUP, VERSION, "workflowsnapshots")
PIPELINE_EXPERIMENTS = Resource(GROUP, VERSION, "pipelineexperiments")
PIPELINE_MANIFESTS = Resource(GROUP, VERSION, "pipelinemanifests")

ARGO_GROUP = "argoproj.io"
ARGO_VERSION = "v1alpha1"

WORKFLOWS = Resource(ARGO_GROUP, ARGO_VERSION, "workflows")
WORKFLOW_TASK_RESULTS = Resource(ARGO_GROUP, ARGO_VERSION, "workflowtaskresults")
WORKFLOW_TEMPLATES = Resource(ARGO_GROUP, ARGO_VERSION, "workflowtemplates")
CLUSTER_WORKFLOW_TEMPLATES = Resource(ARGO_GROUP, ARGO_VERSION, "clusterworkflowtemplates", namespaced=False)

REFERENCED: Mapping[str, Resource] = {
    "PipelineManifest": PIPELINE_MANIFESTS,
    "ConfigMap": CONFIG_MAPS,
    "ServiceAccount": SERVICE_ACCOUNTS,
    "WorkflowTemplate": WORKFLOW_TEMPLATES,
    "ClusterWorkflowTemplate": CLUSTER_WORKFLOW_TEMPLATES,
}
"""By kind: what a run or its Workflow refers to, and the Workflow is built from."""
