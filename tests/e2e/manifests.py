"""The objects that the end-to-end tests apply."""

from __future__ import annotations

from typing import Any

from tests.e2e.cluster import Object

IMAGE = "busybox:1.36"


def pipeline_run(
    workflow: Object, name: str = "run", *, parameters: dict[str, str] | None = None, **spec: Any
) -> Object:
    """A PipelineRun of one source (`{"spec": …}`, `{"manifest": …}` …)."""
    if parameters is not None:
        spec["parameters"] = [{"name": key, "value": value} for key, value in parameters.items()]
    return of_spec({"workflow": workflow, **spec}, name)


def of_spec(spec: Object, name: str = "run", **metadata: Any) -> Object:
    """A PipelineRun with this spec, whatever it holds."""
    return of_kind("PipelineRun", name, metadata, spec=spec)


def of_kind(kind: str, name: str, metadata: Object | None = None, **fields: Any) -> Object:
    """An object of one of Runwright's kinds, whatever it holds."""
    return {
        "apiVersion": "runwright.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, **(metadata or {})},
        **fields,
    }


def workflow(spec: Object, name: str | None = None, **metadata: Any) -> Object:
    """An Argo Workflow with this spec."""
    named = {"name": name} if name else {"generateName": "any-"}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {**named, **metadata}, "spec": spec}


def shell(script: str, name: str = "main", **template: Any) -> Object:
    """A template that is one container with a shell script."""
    return {"name": name, "container": {"image": IMAGE, "command": ["sh", "-c"], "args": [script]}, **template}


def one_step(script: str = "true", **spec: Any) -> Object:
    """A WorkflowSpec of one pod."""
    return {"entrypoint": "main", "templates": [shell(script)], **spec}


def suspended(**spec: Any) -> Object:
    """A WorkflowSpec that runs, without a pod, until somebody resumes its one node."""
    return {"entrypoint": "main", "templates": [{"name": "main", "suspend": {}}], **spec}


def instant(**spec: Any) -> Object:
    """A WorkflowSpec that ends by itself, within a second or two and without a pod."""
    return {"entrypoint": "main", "templates": [{"name": "main", "suspend": {"duration": "0s"}}], **spec}


def executor_rights(namespace: str) -> Object:
    """A namespace and what the pods of a Workflow need in it: Argo's executor reports by WorkflowTaskResults.

    The service account `default` is among it, so that a test need not wait until Kubernetes creates it.
    """
    rbac = "rbac.authorization.k8s.io"
    role = {
        "apiVersion": f"{rbac}/v1",
        "kind": "Role",
        "metadata": {"name": "workflow-executor", "namespace": namespace},
        "rules": [{"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}],
    }
    binding = {
        "apiVersion": f"{rbac}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "workflow-executor", "namespace": namespace},
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "workflow-executor"},
        "subjects": [{"kind": "Group", "apiGroup": rbac, "name": f"system:serviceaccounts:{namespace}"}],
    }
    space = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace, "labels": {"runwright.dev/e2e": "test"}},
    }
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}}
    return {"apiVersion": "v1", "kind": "List", "items": [space, account, role, binding]}
