"""Manifests of the cluster's add-ons: DNS, the S3 server, Argo Workflows and RBAC. Pure documents."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from . import catalogue
from .catalogue import S3_ACCESS_KEY, S3_SECRET_KEY

ARGO_NAMESPACE = "argo"
CONTROLLER_DEPLOYMENT = "workflow-controller"
S3_PORT = 9000
S3_BUCKET = "artifacts"
S3_SECRET_NAME = "s3-credentials"  # noqa: S105 - the name of a Secret
EXECUTOR_ROLE = "argo-workflow-executor"
EXAMPLES_ROLE = "argo-workflow-examples"

Document: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class ArgoImages:
    """Image names of Argo at the pinned version."""

    controller: str = catalogue.CONTROLLER
    executor: str = catalogue.ARGOEXEC


def _meta(name: str, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Document:
    meta: Document = {"name": name, "labels": {"app.kubernetes.io/part-of": "runwright-local", **(labels or {})}}
    return meta | ({"namespace": namespace} if namespace else {})


def namespace(name: str) -> Document:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": _meta(name)}


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> Document:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


def _cluster_role(name: str, rules: Sequence[Document]) -> Document:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": _meta(name),
        "rules": list(rules),
    }


def _bind(role: str, subject: Document) -> Document:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": _meta(role),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    }


def executor_rights() -> list[Document]:
    """Rights of Argo's executor, agent and artifact garbage collector, for all service accounts of this local cluster.

    The second role has the rights of the `resource` templates in Argo's examples. It has no binding.
    """
    argo, every = "argoproj.io", ["create", "get", "list", "watch", "patch", "update", "delete"]
    executor = [
        _rule(argo, ["workflowtaskresults"], ["create", "patch"]),
        _rule(argo, ["workflowtasksets"], ["list", "watch"]),
        _rule(argo, ["workflowtasksets/status"], ["patch"]),
        _rule(argo, ["workflowartifactgctasks"], ["list", "watch"]),
        _rule(argo, ["workflowartifactgctasks/status"], ["patch"]),
    ]
    examples = [
        _rule("", ["pods", "pods/log", "configmaps", "services", "persistentvolumeclaims"], every),
        _rule("batch", ["jobs"], every),
        _rule("apps", ["deployments", "statefulsets"], every),
        _rule(argo, ["workflows", "workflowtemplates"], every),
    ]
    group = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:serviceaccounts"}
    return [_cluster_role(EXECUTOR_ROLE, executor), _bind(EXECUTOR_ROLE, group), _cluster_role(EXAMPLES_ROLE, examples)]


def _service(name: str, where: str, ports: Sequence[Document], address: str | None) -> Document:
    spec: Document = {"selector": {"app": name}, "ports": list(ports)}
    if address:
        spec["clusterIP"] = address
    return {"apiVersion": "v1", "kind": "Service", "metadata": _meta(name, where), "spec": spec}


def _probe(path: str, port: int) -> Document:
    """A probe that notices a start at once and tolerates 10 s without a reply on a busy machine."""
    return {"httpGet": {"path": path, "port": port}, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 10}


def _deployment(name: str, where: str, pod: Document) -> Document:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"terminationGracePeriodSeconds": 1, **pod}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta(name, where),
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app": name}},
            "template": template,
        },
    }


def s3_secret(where: str) -> Document:
    """The S3 credentials as a Secret, keys accessKey and secretKey."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _meta(S3_SECRET_NAME, where),
        "stringData": {"accessKey": S3_ACCESS_KEY, "secretKey": S3_SECRET_KEY},
    }


def s3(address: str | None, folder: str | None = None) -> list[Document]:
    """The S3 server (versitygw on a folder) with its bucket, as Service `s3` in Argo's namespace.

    With `folder`, a path on the node, the objects outlive the pod. A bucket of versitygw's posix backend is a folder, so `mkdir`
    creates the bucket before the server starts.
    """
    mount = {"name": "data", "mountPath": "/data"}
    key = lambda name: {"secretKeyRef": {"name": S3_SECRET_NAME, "key": name}}  # noqa: E731
    server: Document = {
        "name": "s3",
        "image": catalogue.VERSITYGW,
        "imagePullPolicy": "IfNotPresent",
        "args": ["--port", f":{S3_PORT}", "--health", "/health", "--quiet", "posix", "/data"],
        "env": [
            {"name": "ROOT_ACCESS_KEY", "valueFrom": key("accessKey")},
            {"name": "ROOT_SECRET_KEY", "valueFrom": key("secretKey")},
        ],
        "ports": [{"containerPort": S3_PORT}],
        "readinessProbe": _probe("/health", S3_PORT),
        "volumeMounts": [mount],
    }
    bucket: Document = {
        "name": "bucket",
        "image": "busybox",
        "imagePullPolicy": "IfNotPresent",
        "command": ["mkdir", "-p", f"/data/{S3_BUCKET}"],
        "volumeMounts": [mount],
    }
    data: Document = {"hostPath": {"path": folder, "type": "DirectoryOrCreate"}} if folder else {"emptyDir": {}}
    pod = {"initContainers": [bucket], "containers": [server], "volumes": [{"name": "data", **data}]}
    return [
        s3_secret(ARGO_NAMESPACE),
        s3_secret("default"),
        _deployment("s3", ARGO_NAMESPACE, pod),
        _service("s3", ARGO_NAMESPACE, [{"name": "s3", "port": S3_PORT}], address),
    ]


def dns(address: str, domain: str) -> list[Document]:
    """CoreDNS for names in the cluster. Other names do not exist, because pods cannot reach other machines."""
    corefile = f"""{domain}:5353 in-addr.arpa:5353 {{
  kubernetes {domain} in-addr.arpa {{
    ttl 5
  }}
  ready :8181
}}
.:5353 {{
  template ANY ANY {{
    rcode NXDOMAIN
  }}
}}
"""
    name, where = "kube-dns", "kube-system"
    rules = [
        _rule("", ["endpoints", "services", "pods", "namespaces"], ["list", "watch"]),
        _rule("discovery.k8s.io", ["endpointslices"], ["list", "watch"]),
    ]
    container: Document = {
        "name": "coredns",
        "image": catalogue.COREDNS,
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "readinessProbe": _probe("/ready", 8181),
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
    }
    pod: Document = {
        "serviceAccountName": "coredns",
        "dnsPolicy": "Default",
        "priorityClassName": "system-cluster-critical",
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
    ports = [{"name": p.lower(), "port": 53, "targetPort": 5353, "protocol": p} for p in ("UDP", "TCP")]
    account = {"kind": "ServiceAccount", "name": "coredns", "namespace": where}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _meta("coredns", where)},
        _cluster_role("coredns", rules),
        _bind("coredns", account),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta("coredns", where), "data": {"Corefile": corefile}},
        _deployment(name, where, pod),
        _service(name, where, ports, address),
    ]


def argo_config(s3_endpoint: str) -> dict[str, str]:
    """Data of Argo's workflow-controller-configmap.

    The default artifact repository takes its credentials from the executor's environment (`useSDKCreds`), not from a
    Secret: Argo reads such a Secret in the workflow's own namespace, so every new namespace would need a copy first.
    """
    repository = {
        "s3": {
            "endpoint": s3_endpoint,
            "bucket": S3_BUCKET,
            "region": "us-east-1",
            "insecure": True,
            "useSDKCreds": True,
            "keyFormat": "{{workflow.namespace}}/{{workflow.name}}/{{pod.name}}",
        }
    }
    variables = [{"name": key, "value": value} for key, value in catalogue.S3_ENVIRONMENT.items()]
    executor = {"imagePullPolicy": "IfNotPresent", "env": variables}
    sections = {"artifactRepository": repository, "executor": executor, "images": catalogue.argo_image_commands()}
    return {name: json.dumps(content, indent=1) for name, content in sections.items()}


def argo_overlay(base: str, images: ArgoImages, s3_endpoint: str) -> Document:
    """A kustomization of Argo's `cluster-install`: pinned images, our configuration, no argo-server."""
    controller = {
        "name": CONTROLLER_DEPLOYMENT,
        "image": images.controller,
        "imagePullPolicy": "IfNotPresent",
        "args": ["--executor-image", images.executor, "--executor-image-pull-policy", "IfNotPresent"],
        # One replica needs no leader election: the lease of a killed controller would delay the next one for 15 s.
        # Argo 3.7 reconciles a Workflow this long after a pod changed. Its default of 10 s would dominate every step.
        "env": [
            {"name": "LEADER_ELECTION_DISABLE", "value": "true"},
            {"name": "DEFAULT_REQUEUE_TIME", "value": "1s"},
        ],
    }
    config = argo_config(s3_endpoint)
    # The controller caches the commands of images forever, so a changed configuration needs a new pod.
    note = {"runwright.dev/configuration": hashlib.sha256(json.dumps(config).encode()).hexdigest()[:16]}
    pod = {"terminationGracePeriodSeconds": 5, "containers": [controller]}
    patches: list[Document] = [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": CONTROLLER_DEPLOYMENT, "namespace": ARGO_NAMESPACE},
            "spec": {
                "strategy": {"type": "Recreate"},
                "template": {"metadata": {"annotations": note}, "spec": pod},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "workflow-controller-configmap", "namespace": ARGO_NAMESPACE},
            "data": config,
        },
    ]
    for version, kind in (("apps/v1", "Deployment"), ("v1", "Service")):
        meta = {"name": "argo-server", "namespace": ARGO_NAMESPACE}
        patches.append({"$patch": "delete", "apiVersion": version, "kind": kind, "metadata": meta})
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [base],
        "patches": [{"patch": json.dumps(patch)} for patch in patches],
    }


def as_stream(documents: Sequence[Document]) -> str:
    """Documents as one YAML text. It starts with a separator, because kubectl parses a text that starts with `{` as JSON."""
    return "".join(f"---\n{json.dumps(document)}\n" for document in documents)
