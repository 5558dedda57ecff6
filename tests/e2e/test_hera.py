"""A Workflow written with Hera 7 runs as a PipelineRun."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.cluster import Kubectl, condition, stalled
from tests.e2e.conftest import Apply, WaitRun, fresh_namespace
from tests.e2e.environments import written_by
from tests.e2e.manifests import pipeline_run
from tests.e2e.straight import ends_alike


@pytest.fixture(scope="module")
def manifest() -> str:
    return written_by("hera", "diamond.py")


@pytest.fixture
def direct(kubectl: Kubectl) -> Iterator[str]:
    with fresh_namespace(kubectl) as name:
        yield name


@pytest.mark.timeout(420)
def test_a_hera_workflow_ends_as_it_does_straight_from_argo(
    kubectl: Kubectl, operator: None, namespace: str, direct: str, manifest: str
) -> None:
    run, workflow = ends_alike(kubectl, namespace, direct, "diamond", manifest, {"start": "8"})
    assert (run["status"]["phase"], run["status"]["progress"]) == ("Succeeded", "4/4")
    # (8 * 2) * 2 + 5 * 2
    assert run["status"]["outputs"]["parameters"] == [{"name": "total", "value": "42"}]
    assert workflow["metadata"]["labels"]["written-with"] == "hera"


def test_a_hera_workflow_without_a_required_parameter_is_stalled(
    apply: Apply, wait_run: WaitRun, manifest: str
) -> None:
    apply(pipeline_run({"manifest": manifest}))
    run = wait_run("run", lambda found: stalled(found) == "ParameterMissing")
    assert '"start" must be given' in condition(run, "Stalled")["message"]
