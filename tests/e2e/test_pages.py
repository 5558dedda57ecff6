"""The commands of the pages for admins, run one after the other as they stand there, on an API server of each page's own.

What cannot run there is named below with the reason; nothing else is left out.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from localcluster import binaries, pins

from tests.e2e.cluster import Kubectl
from tests.e2e.conftest import REPOSITORY
from tests.e2e.control_plane import ControlPlane, programs
from tests.e2e.helm import Helm
from tests.e2e.manifests import instant, pipeline_run

PAGES = (
    *("helm", "install", "high-availability", "upgrade", "backup", "troubleshooting"),
    *("install-kind", "install-cloud", "install-offline", "install-with-argocd"),
)

NOT_HERE = {
    r"^(kind|docker|make) ": "no Docker engine here, and `make` is what runs this test",
    r"^\.venv/bin/runwright operator|^runwright operator": "runs until it is stopped: test_leader.py, test_shards.py",
    r"^cd deploy/base && kustomize edit": "the program kustomize is not here; kubectl has all of it but `edit`",
    r"helm test |rollout (status|restart)|--for=condition=Succeeded|kubectl logs|/proxy/": "no node is behind this API server: "
    "test_chart_release.py, test_deployment.py",
    r"kubectl delete pod .*lease|get lease": "no operator holds a Lease here: test_deployment.py",
    r"-k deploy/overlays/with-argo": "names Argo's manifests by their address: test_overlays.py",
    r"prun score|apply --dry-run=server -f run.yaml": "about a run that is bad on purpose: test_bad_input.py",
    r"^helm install runwright charts/runwright [-a-z ]+ --set image.repository=REGISTRY/runwright$": "the other way to install: helm.md",
    r"^kubectl delete -k deploy/base": "nobody here collects what is in a namespace: the local cluster does, by `make undeploy`",
}
"""What cannot run here, and why, or where it is seen instead."""


def commands(page: str) -> list[str]:
    """The commands in the console blocks of a page; a line that ends with a backslash goes on."""
    found: list[str] = []
    for block in re.findall(
        r"^ *```console\n(.*?)^ *```", (REPOSITORY / "docs" / f"{page}.md").read_text(), re.M | re.S
    ):
        for start in re.finditer(r"^ *\$ ((?:.*\\\n)*.*)$", block, re.M):
            found.append(re.sub(r"\\\n *", "", start[1]))
    return found


def reason(command: str) -> str:
    """Why it cannot run here; empty where it can."""
    return next((why for pattern, why in NOT_HERE.items() if re.search(pattern, command)), "")


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """An API server with the service account of a run in it, a run, and Argo CD's ConfigMap."""
    built = programs()
    if built is None:
        pytest.skip("no programs of a control plane here: the cluster is another machine's")
    folder = tmp_path / "plane"
    folder.mkdir()
    with ControlPlane(folder, built) as found:
        yield found


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the commands read and write."""
    folder = tmp_path / "checkout"
    for part in ("charts", "crds", "deploy"):
        shutil.copytree(REPOSITORY / part, folder / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_succeed(page: str, plane: ControlPlane, checkout: Path, helm: Helm, tmp_path: Path):
    kubectl = plane.kubectl
    before(page, plane)
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "helm").symlink_to(helm.program)
    wrapper = f'#!/bin/sh\nPYTHONPATH={REPOSITORY / "operator"} exec {sys.executable} -m runwright "$@"\n'
    (tools / "runwright").write_text(wrapper)
    (tools / "runwright").chmod(0o755)
    environment = os.environ | {"KUBECONFIG": str(plane.kubeconfig), "PATH": f"{tools}:{os.environ['PATH']}"}
    ran = [command for command in commands(page) if not reason(command)]
    for command in ran:
        shell = ["bash", "-ec", command.replace("other-cluster", "test").replace("NAME", "kept")]
        done = run_shell(shell, checkout, environment, kubectl)
        assert done.returncode == 0, f"{page}.md: {command}\n{done.stdout}{done.stderr}"
    assert ran or page in ("install-kind", "high-availability"), "no command of this page runs: it needs no test"
    if page == "backup":
        assert kubectl.get("default", "prun", "kept")


def run_shell(
    shell: list[str], folder: Path, environment: dict[str, str], kubectl: Kubectl
) -> subprocess.CompletedProcess[str]:
    """Run a command of a page. One that deletes is run again if it does not return, and says what was left.

    Once in some hundred runs, `kubectl delete crd` went on waiting after it had printed that all CRDs were deleted.
    """
    for attempt in (1, 2):
        try:
            return subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired as error:
            error.add_note(f"left: {kubectl('get', 'crd', '-o', 'yaml')}")
            if attempt == 2 or "kubectl delete" not in shell[-1]:
                raise
    raise AssertionError("unreachable")


def before(page: str, plane: ControlPlane) -> None:
    """What the reader of the page has already."""
    kubectl = plane.kubectl
    if page in ("upgrade", "backup", "troubleshooting"):
        kubectl("apply", "--server-side", "-k", str(REPOSITORY / "crds"))
        kubectl.wait_established("crd/pipelineruns.runwright.dev")
        kubectl("create", "-n", "default", "-f", "-", input=json.dumps(pipeline_run({"spec": instant()}, "kept")))
    if page == "upgrade":
        for namespace in ("team", "runwright-system"):
            kubectl("create", "namespace", namespace)
        kubectl("create", "configmap", "pipelines", "-n", "team")
        kubectl("create", "secret", "generic", "runwright-serve", "-n", "runwright-system")
    if page == "install-with-argocd":
        kubectl("create", "namespace", "argocd")
        kubectl("create", "configmap", "argocd-cm", "-n", "argocd")
        for kind in ("application", "appproject"):
            kubectl("apply", "--server-side", "-f", str(argocd_crds() / f"{kind}-crd.yaml"))
        kubectl.wait_established("crd/applications.argoproj.io")


def argocd_crds() -> Path:
    """The CRDs of Argo CD, in its pinned module."""
    return binaries.module_source("argocd", pins.ARGOCD_MODULE) / "manifests" / "crds"


def test_every_reason_to_skip_a_command_applies():
    every = [command for page in PAGES for command in commands(page)]
    assert len(every) > 40
    for pattern in NOT_HERE:
        assert any(re.search(pattern, command) for command in every), pattern
