"""Runwright by Argo CD: the applications are what its kinds take, and its own sync engine brings in what they name, in order.

The engine is Argo CD's (github.com/argoproj/argo-cd/gitops-engine), as the program that its module has for it. It syncs a Git
repository into an API server of the test's own; what controllers would do there, the test does.
"""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
import yaml
from localcluster import binaries, pins

from tests.e2e.cluster import Kubectl, Object
from tests.e2e.conftest import REPOSITORY
from tests.e2e.control_plane import ControlPlane
from tests.e2e.processes import Lines, start_read
from tests.ports import free_port

ARGOCD = REPOSITORY / "deploy" / "argocd"
SYSTEM = "runwright-system"
HEALTHY = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}
KINDS = "deployments,services,configmaps,serviceaccounts,roles,rolebindings,poddisruptionbudgets,pipelineruns,retentionpolicies"


def test_applications_are_valid_for_argo_cd(bare: ControlPlane):
    """By the schemas of its own CRDs: root, project and applications are applied for real, and no field is unknown."""
    kubectl = bare.kubectl
    crds = binaries.module_source("argocd", pins.ARGOCD_MODULE) / "manifests" / "crds"
    for name in ("application-crd.yaml", "appproject-crd.yaml"):
        kubectl("apply", "--server-side", "-f", str(crds / name))
    kubectl.wait_established("crd/applications.argoproj.io", "crd/appprojects.argoproj.io")
    kubectl("create", "namespace", "argocd")
    strict = ("apply", "--server-side", "--validate=strict", "--force-conflicts")
    kubectl(*strict, "-f", str(ARGOCD / "root.yaml"))
    kubectl(*strict, "-k", str(ARGOCD / "apps"))
    apps = {one["metadata"]["name"]: one for one in kubectl.list("argocd", "applications")}
    assert set(apps) == {"runwright-root", "argo-workflows", "runwright", "team-example"}
    kubectl(*strict, "-f", str(ARGOCD / "helm.yaml"))
    (project,) = kubectl.list("argocd", "appprojects")
    for app in apps.values():
        spec = app["spec"]
        if spec["project"] == "runwright":
            assert spec["source"]["repoURL"] in project["spec"]["sourceRepos"]
        if spec["source"]["repoURL"].endswith("runwright.git"):
            assert (REPOSITORY / spec["source"]["path"]).is_dir()
    waves = {name: int(app["metadata"].get("annotations", {}).get(WAVE, 0)) for name, app in apps.items()}
    assert waves["argo-workflows"] < waves["runwright"] < waves["team-example"]


WAVE = "argocd.argoproj.io/sync-wave"


class Repository:
    """A Git repository with what the applications `runwright` and `team-example` render."""

    def __init__(self, folder: Path, kubectl: Kubectl) -> None:
        self.folder = folder
        self.objects: list[Object] = []
        for path in ("operator", "team"):
            self.objects += [one for one in yaml.safe_load_all(kubectl("kustomize", str(ARGOCD / path))) if one]
        subprocess.run(["git", "init", "-q", str(folder)], check=True)
        self.commit()

    def commit(self) -> None:
        """Commit the objects as they are now."""
        # The program names no field manager, without which nothing can be applied server-side; Argo CD does.
        text = yaml.safe_dump_all(self.objects).replace("ServerSideApply=true", "Replace=true")
        (self.folder / "all.yaml").write_text(text)
        me = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        for command in (("add", "."), (*me, "commit", "-qm", "As it is now")):
            subprocess.run(["git", "-C", str(self.folder), *command], check=True)

    def drop(self, *kinds: str) -> None:
        """Take all of these kinds out of the repository, but for the operator's own namespace."""
        self.objects = [one for one in self.objects if one["kind"] not in kinds or one["metadata"]["name"] == SYSTEM]
        self.commit()


DONE = "-> Succeeded, message"


class Agent:
    """The engine at work, as a process that starts again for each wave: unlike Argo CD, the program looks at what there is
    only when it begins, so it would wait for ever for what it has made itself to become healthy."""

    def __init__(self, repository: Path, kubeconfig: Path) -> None:
        program = binaries.build_all([pins.GITOPS])["agent"]
        self._port = free_port()
        options = (f"--kubeconfig={kubeconfig}", "--default-namespace=default", "--resync-seconds=3600")
        self._command = [str(program), str(repository), *options, f"--port={self._port}"]
        self._process: subprocess.Popen[str] | None = None
        self._lines: Lines | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def wave(self, until: str) -> None:
        """Sync until what has these words in it is to become healthy, or until all is done."""
        self.__exit__()
        self._process, self._lines = start_read(self._command, "stderr")
        self._ended(0, f"waiting for healthy state of {until}" if until else DONE)

    def sync(self) -> None:
        """Sync once more, and return once that is done."""
        assert self._lines
        since = len(self._lines.seen())
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/api/v1/sync", timeout=30):
            pass
        self._ended(since, DONE)

    def _ended(self, since: int, words: str) -> None:
        assert self._lines
        failed = ("Failed to synchronize", "Running -> Failed")
        line = self._lines.wait(lambda one: any(each in one for each in (words, *failed)), 90, since)
        assert words in line, line


@pytest.fixture
def repository(bare: ControlPlane, tmp_path: Path) -> Repository:
    return Repository(tmp_path, bare.kubectl)


@pytest.fixture
def agent(bare: ControlPlane, repository: Repository) -> Iterator[Agent]:
    with Agent(repository.folder, bare.kubeconfig) as found:
        yield found


def test_the_gitops_engine_syncs_in_order_and_prunes_no_run(bare: ControlPlane, repository: Repository, agent: Agent):
    kubectl = bare.kubectl
    agent.wave(until="/Namespace/team-example")
    assert len(kubectl.list("", "crd", "-l", "app.kubernetes.io/part-of=runwright")) == 5
    assert not kubectl.find("", "namespace", SYSTEM), "the CRDs come first"
    agent.wave(until="/Namespace/runwright-system")
    deployments = {one["metadata"]["name"] for one in kubectl.list(SYSTEM, "deployments")}
    assert deployments == {"runwright-operator", "runwright-serve"}
    assert not kubectl.list("team-example", "pipelineruns"), "runs come when there is somebody to look after them"
    for name in deployments:
        kubectl.patch_status(SYSTEM, "deployment", name, HEALTHY)
    agent.wave(until="")
    (run,) = kubectl.list("team-example", "pipelineruns")
    assert kubectl.get("team-example", "retentionpolicy", "default")
    before = versions(kubectl)
    agent.sync()
    assert versions(kubectl) == before, "a second sync changes nothing"
    # What the operator and a person do to the run is no difference.
    status = {"phase": "Succeeded", "finishedAt": "2026-11-26T12:00:00Z"}
    kubectl.patch_status("team-example", "prun", "train-1", status)
    kubectl("label", "-n", "team-example", "prun", "train-1", "runwright.dev/storage-state=Archived")
    before = versions(kubectl)
    agent.sync()
    assert versions(kubectl) == before
    repository.drop("CustomResourceDefinition", "Namespace")
    agent.sync()
    assert kubectl.get("team-example", "prun", "train-1")["metadata"]["uid"] == run["metadata"]["uid"]
    assert len(kubectl.list("", "crd", "-l", "app.kubernetes.io/part-of=runwright")) == 5


def versions(kubectl: Kubectl) -> dict[str, str]:
    return {
        f"{namespace} {one['kind']}/{one['metadata']['name']}": one["metadata"]["resourceVersion"]
        for namespace in (SYSTEM, "team-example")
        for one in kubectl.list(namespace, KINDS)
    }
