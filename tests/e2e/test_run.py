"""A PipelineRun runs to its end: every source, what the status tells on the way, and what becomes of the Workflow."""

from __future__ import annotations

from tests.e2e.cluster import Kubectl, condition
from tests.e2e.conftest import Apply, WaitRun
from tests.e2e.manifests import one_step, pipeline_run


def test_an_inline_spec(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    apply(pipeline_run({"spec": one_step("echo hello")}))
    run = wait_run("run", "Succeeded")
    assert condition(run, "Succeeded")["status"] == "True"
