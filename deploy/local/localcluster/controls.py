"""Stops, starts and restarts one part of a cluster, for tests of failures."""

import time
from collections.abc import Mapping

from . import addons, components_cluster, record
from .errors import ClusterError
from .kubectl import Kubectl, find
from .paths import ClusterPaths
from .progress import say, seconds

# Parts that are Deployments in the cluster: name -> (namespace, deployment).
DEPLOYMENTS: Mapping[str, tuple[str, str]] = {
    "argo-controller": (addons.ARGO_NAMESPACE, addons.CONTROLLER_DEPLOYMENT),
    "s3": (addons.ARGO_NAMESPACE, "s3"),
    "dns": ("kube-system", "kube-dns"),
}


def control(paths: ClusterPaths, verb: str, part: str) -> None:
    """Start, stop or restart (`verb`) a part, and wait until that is done.

    Raises:
        ClusterError: if the cluster is not running, or this kind of cluster does not have the part.
    """
    start = time.monotonic()
    if part in DEPLOYMENTS:
        _deployment(paths, verb, *DEPLOYMENTS[part])
    else:
        _component(paths, verb, part)
    done = {"start": "is started", "stop": "is stopped", "restart": "is restarted"}[verb]
    say(f"{part} of cluster {paths.name} {done} ({seconds(time.monotonic() - start)})")


def _deployment(paths: ClusterPaths, verb: str, where: str, name: str) -> None:
    kubectl = Kubectl(find(), paths.kubeconfig)
    if verb in ("stop", "restart"):
        kubectl.run("scale", "-n", where, f"deployment/{name}", "--replicas=0")
        labels = kubectl.json("get", "-n", where, f"deployment/{name}")["spec"]["selector"]["matchLabels"]
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        kubectl.run("wait", "-n", where, "--for=delete", "pod", f"--selector={selector}", "--timeout=60s", timeout=70)
    if verb in ("start", "restart"):
        kubectl.run("scale", "-n", where, f"deployment/{name}", "--replicas=1")
        kubectl.run("rollout", "status", "-n", where, f"deployment/{name}", "--timeout=60s", timeout=70)


def _component(paths: ClusterPaths, verb: str, part: str) -> None:
    known = record.read(paths)
    if known is None:
        raise ClusterError(
            f"Cluster {paths.name} is not a running cluster of real components.",
            f"Check `cluster.py status --name {paths.name}`. In other clusters only argo-controller and s3 can be stopped.",
        )
    if verb in ("stop", "restart"):
        components_cluster.stop_named(paths, part)
    if verb in ("start", "restart"):
        plan = components_cluster.plan_of(paths, known.slot)
        kubectl = Kubectl(find(), paths.kubeconfig)
        components_cluster.start_named(plan, kubectl, [part])
