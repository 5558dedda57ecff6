"""Installs Argo and the S3 server in an existing cluster: a kind cluster, or one that the user names."""

import time
from typing import Any

from . import addons, argo, binaries, catalogue, readiness
from .addons import ARGO_NAMESPACE, CONTROLLER_DEPLOYMENT, ArgoImages
from .errors import ClusterError
from .kubectl import Kubectl
from .paths import PINS
from .pins import ARGO, ARGO_VERSION
from .progress import step

READY_TIMEOUT = 300.0


def controllers(listing: dict[str, Any]) -> list[tuple[str, str]]:
    """(namespace, image) of every Argo controller in a listing of Deployments."""
    found: list[tuple[str, str]] = []
    for item in listing["items"]:
        for container in item["spec"]["template"]["spec"]["containers"]:
            if "workflow-controller" in container["image"]:
                found.append((item["metadata"]["namespace"], container["image"]))
    return found


def missing(kubectl: Kubectl) -> list[str]:
    """The parts of Argo that the cluster lacks."""
    known = kubectl.run("get", "crd", "workflows.argoproj.io", "--ignore-not-found", "-o", "name").strip()
    running = controllers(kubectl.json("get", "deployments", "--all-namespaces"))
    return [*([] if known else ["the Workflow CRD"]), *([] if running else ["Argo's workflow-controller"])]


def install(kubectl: Kubectl, own_images: bool) -> None:
    """Apply Argo, S3 and the executor's rights, and wait until both are available.

    With `own_images`, it uses our images under the catalogue's names; otherwise the images of Argo's manifest.

    Raises:
        ClusterError: if they do not become available.
    """
    binaries.check_go([ARGO])
    documents = [addons.namespace(ARGO_NAMESPACE), *addons.executor_rights(), *addons.s3(None)]
    images = ArgoImages(catalogue.CONTROLLER, catalogue.ARGOEXEC) if own_images else None
    rendered = argo.render(kubectl.program, f"s3.{ARGO_NAMESPACE}.svc:{addons.S3_PORT}", images)
    with step(f"install Argo {ARGO_VERSION} and S3 into namespace {ARGO_NAMESPACE} (pins: {PINS / 'argo'})"):
        text = f"{addons.as_stream(documents)}---\n{rendered}"
        kubectl.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text, timeout=120)
    with step("wait for Argo's controller and S3", estimate=60):
        wanted = {(ARGO_NAMESPACE, CONTROLLER_DEPLOYMENT), (ARGO_NAMESPACE, "s3")}
        deadline = time.monotonic() + READY_TIMEOUT
        while waiting := readiness.unready(kubectl.json("get", "deployments", "-n", ARGO_NAMESPACE), wanted, False):
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"Not ready after {READY_TIMEOUT:.0f} s: {'; '.join(waiting)}.",
                    f"Check `kubectl -n {ARGO_NAMESPACE} get pods` and `kubectl -n {ARGO_NAMESPACE} describe pods`.",
                )
            time.sleep(1)
