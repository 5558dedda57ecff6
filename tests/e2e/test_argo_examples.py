"""Argo's own examples, each submitted straight to Argo and as a PipelineRun: both must end alike, node by node.

The files are those of the pinned Argo module (`deploy/local/cluster.py examples`), or of the folder that ARGO_EXAMPLES
names.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Kubectl
from tests.e2e.conftest import REPOSITORY, fresh_namespace
from tests.e2e.straight import ends_alike

# The example, and how it ends. None of them needs a network beyond the cluster, chance or a clock.
EXAMPLES = {
    "hello-world": "Succeeded",
    "steps": "Succeeded",
    "steps-inline-workflow": "Succeeded",
    "nested-workflow": "Succeeded",
    "dag-diamond": "Succeeded",
    "dag-multiroot": "Succeeded",
    "dag-targets": "Succeeded",
    "dag-inline-workflow": "Succeeded",
    "dag-continue-on-fail": "Failed",
    "dag-enhanced-depends": "Succeeded",
    "dag-disable-failFast": "Failed",
    "continue-on-fail": "Succeeded",
    "conditionals": "Succeeded",
    "status-reference": "Succeeded",
    "exit-code-output-variable": "Succeeded",
    "exit-handlers": "Failed",
    "exit-handler-with-param": "Succeeded",
    "exit-handler-with-artifacts": "Succeeded",
    "template-on-exit": "Error",
    "step-level-timeout": "Failed",
    "timeouts-step": "Failed",
    "arguments-parameters": "Succeeded",
    "arguments-parameters-from-configmap": "Succeeded",
    "global-parameters": "Succeeded",
    "global-parameters-from-configmap": "Succeeded",
    "global-outputs": "Succeeded",
    "output-parameter": "Succeeded",
    "parameter-aggregation-script": "Succeeded",
    "artifact-passing": "Succeeded",
    "artifact-path-placeholders": "Succeeded",
    "input-artifact-raw": "Succeeded",
    "key-only-artifact": "Succeeded",
    "loops": "Succeeded",
    "loops-maps": "Succeeded",
    "loops-param-argument": "Succeeded",
    "loops-arbitrary-sequential-steps": "Failed",
    "expression-destructure-json": "Succeeded",
    "expression-tag-template-workflow": "Succeeded",
    "init-container": "Succeeded",
    "pod-metadata": "Succeeded",
    "volumes-emptydir": "Succeeded",
    "label-value-from-workflow": "Succeeded",
    "k8s-set-owner-reference": "Succeeded",
    "container-set-template/graph-workflow": "Succeeded",
    "container-set-template/outputs-result-workflow": "Succeeded",
    "container-set-template/sequence-workflow": "Succeeded",
    "workflow-template/hello-world": "Succeeded",
    "workflow-template/workflow-template-ref": "Succeeded",
    "cluster-workflow-template/workflow-template-ref": "Succeeded",
}

# What must be there first: files of the same folder.
PREREQUISITES = {
    "arguments-parameters-from-configmap": ("configmaps/simple-parameters-configmap",),
    "global-parameters-from-configmap": ("configmaps/simple-parameters-configmap",),
    "workflow-template/hello-world": ("workflow-template/templates",),
    "workflow-template/workflow-template-ref": ("workflow-template/templates",),
    "cluster-workflow-template/workflow-template-ref": ("cluster-workflow-template/clustertemplates",),
}

RACING = {"step-level-timeout", "timeouts-step"}
"""Examples in which the kubelet's deadline, Argo's, and the end of the other steps race. On a busy machine Argo leaves nodes
Pending, Running, Failed or Error, with five different messages, in a Workflow that Failed (Argo 3.7.3)."""

EXAMPLES_ROLE = "argo-workflow-examples"
"""A ClusterRole of the local cluster: what the `resource` examples create."""


@pytest.fixture(scope="session")
def examples() -> Path:
    folder = os.environ.get("ARGO_EXAMPLES")
    if not folder:
        command = [sys.executable, str(REPOSITORY / "deploy/local/cluster.py"), "examples"]
        folder = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return Path(folder)


@pytest.fixture
def direct(kubectl: Kubectl) -> Iterator[str]:
    with fresh_namespace(kubectl) as name:
        yield name


@pytest.fixture
def example(
    request: pytest.FixtureRequest, kubectl: Kubectl, examples: Path, namespace: str, direct: str
) -> Iterator[str]:
    """Name of an example that has all it needs, in both namespaces."""
    name: str = request.param
    needed = [str(examples / f"{file}.yaml") for file in PREREQUISITES.get(name, ())]
    for where in (namespace, direct):
        for file in needed:
            kubectl("apply", "-n", where, "-f", file)
        if name.startswith("k8s-"):
            account = f"--serviceaccount={where}:default"
            kubectl("create", "rolebinding", "-n", where, "examples", f"--clusterrole={EXAMPLES_ROLE}", account)
    yield name
    if name.startswith("cluster-workflow-template/"):
        for file in needed:
            kubectl("delete", "-f", file, "--wait=false", "--ignore-not-found")


@pytest.mark.timeout(420)
@pytest.mark.parametrize("example", EXAMPLES, indirect=True)
def test_an_example_ends_as_it_does_straight_from_argo(
    kubectl: Kubectl, operator: None, examples: Path, namespace: str, direct: str, example: str
) -> None:
    name = example.replace("/", "-").lower()[:60]
    run, _ = ends_alike(
        kubectl, namespace, direct, name, (examples / f"{example}.yaml").read_text(), racing=example in RACING
    )
    assert run["status"]["phase"] == EXAMPLES[example]
