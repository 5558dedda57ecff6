"""Scenarios of a run up to its end, and of accidental changes after it.

To add one, write a coroutine that plays it and decorate it with its expected end.
"""

from __future__ import annotations

from datetime import timedelta

from tests.unit.fake.scenario import FAILED, GONE, SUCCEEDED, TERMINATED, WORKFLOW_DELETED, scenario, stalled
from tests.unit.fake.world import NAMESPACE, RUN, World, manifest

# ------------------------------------------------------------------------------------------------------ ends of a run


@scenario(SUCCEEDED, lists=True)
async def two_steps_succeed(w: World) -> None:
    w.apply(manifest())


@scenario(FAILED)
async def step_fails(w: World) -> None:
    w.apply(manifest("failing"))


@scenario(("Error", "Error", ""))
async def argo_errs(w: World) -> None:
    w.apply(manifest("erring"))


@scenario(SUCCEEDED, writes=5)
async def argo_takes_it_up_late(w: World) -> None:
    w.apply(manifest("slow"))


@scenario(SUCCEEDED)
async def nodes_are_compressed(w: World) -> None:
    w.apply(manifest("compressed"))


@scenario(FAILED, faults="crashes")
async def thousand_nodes(w: World) -> None:
    w.apply(manifest("many"))


@scenario(SUCCEEDED, writes=12)
async def three_runs_at_once(w: World) -> None:
    w.apply(manifest(), "other")
    w.apply(manifest())
    w.apply(manifest("failing"), "third")


# --------------------------------------------------------------------------------------------------------------- refusals


@scenario(SUCCEEDED, creates=2, writes=9)
async def argo_refuses_then_spec_is_corrected(w: World) -> None:
    w.apply(manifest("refused"))
    await w.until(lambda: w.stalled() == "WorkflowRefused")
    await w.sleep(5)
    w.apply(manifest())


@scenario(stalled("WorkflowRefused"))
async def argo_refuses(w: World) -> None:
    w.apply(manifest("refused"))


@scenario(stalled("WorkflowRefused"), strays=1)
async def refused_workflow_is_deleted(w: World) -> None:
    w.apply(manifest("refused"))
    await w.until(lambda: w.stalled() == "WorkflowRefused")
    await w.sleep(5)
    w.delete("Workflow")


@scenario(SUCCEEDED, writes=7)
async def bad_manifest_is_corrected(w: World) -> None:
    w.apply({"workflow": {"manifest": "kind: CronWorkflow"}})
    await w.until(lambda: w.stalled() != "")
    await w.sleep(5)
    w.apply(manifest())


@scenario(stalled("ParameterUnknown"))
async def parameter_is_unknown(w: World) -> None:
    w.apply({**manifest(), "parameters": [{"name": "no-such", "value": "1"}]})


@scenario(SUCCEEDED, writes=7)
async def config_map_comes(w: World) -> None:
    w.apply({"workflow": {"manifestFrom": {"configMapKeyRef": {"name": "pipeline", "key": "wf"}}}})
    await w.until(lambda: w.stalled() == "ConfigMapNotFound")
    await w.sleep(3)
    w.add(
        "ConfigMap",
        "pipeline",
        metadata={"namespace": NAMESPACE, "name": "pipeline", "labels": {"runwright.dev/manifest": "true"}},
        data={
            "wf": '{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow","spec":{"entrypoint":"two-steps","templates":[{"name":"two-steps"}]}}'
        },
    )


@scenario(SUCCEEDED, writes=7)
async def service_account_comes(w: World) -> None:
    w.apply({**manifest(), "serviceAccountName": "trainer"})
    await w.until(lambda: w.stalled() == "ServiceAccountNotFound")
    await w.sleep(3)
    w.add("ServiceAccount", "trainer")


@scenario(SUCCEEDED, writes=7)
async def foreign_workflow_is_removed(w: World) -> None:
    w.add("Workflow", RUN, spec={})
    w.apply(manifest())
    await w.until(lambda: w.stalled() == "WorkflowNameTaken")
    await w.sleep(3)
    w.delete("Workflow")


@scenario(SUCCEEDED, writes=7, lists=True)
async def argo_is_installed_later(w: World) -> None:
    w.server.argo_installed = False
    w.apply(manifest())
    await w.until(lambda: w.stalled() == "ArgoNotInstalled")
    await w.sleep(3)
    w.install_argo()


@scenario(GONE)
async def namespace_is_deleted(w: World) -> None:
    w.apply(manifest())
    w.server.terminating.add(NAMESPACE)
    await w.until(lambda: w.stalled() == "NamespaceTerminating")
    await w.sleep(5)
    w.delete("PipelineRun")


# -------------------------------------------------------------------------------------------------------------- deletions


@scenario(SUCCEEDED, writes=9)
async def run_is_created_again_while_old_workflow_is_collected(w: World) -> None:
    w.apply(manifest("endless"))
    await w.until(lambda: w.argo_phase() == "Running")
    await w.sleep(5)
    w.delete("PipelineRun")
    w.apply(manifest())


@scenario(SUCCEEDED, writes=9, collect=False)
async def old_workflow_of_the_name_ends_before_it_is_collected(w: World) -> None:
    w.apply(manifest())
    await w.until(lambda: w.argo_phase() == "Running")
    w.delete("PipelineRun")
    w.apply(manifest())
    await w.sleep(7)
    w.collect()


@scenario(WORKFLOW_DELETED, strays=1, creates=1, lists=True)
async def workflow_is_deleted_while_running(w: World) -> None:
    w.apply(manifest("endless"))
    await w.until(lambda: w.phase() == "Running")
    await w.sleep(5)
    w.delete("Workflow")


@scenario(WORKFLOW_DELETED, strays=1)
async def workflow_is_deleted_and_another_made_in_its_place(w: World) -> None:
    w.apply(manifest("endless"))
    await w.until(lambda: w.phase() == "Running")
    await w.sleep(5)
    w.delete("Workflow")
    w.add("Workflow", RUN, spec={})
    await w.sleep(1000)
    w.delete("Workflow")


@scenario(SUCCEEDED, or_ends=(WORKFLOW_DELETED,), strays=1)
async def workflow_is_deleted_as_it_finishes(w: World) -> None:
    w.apply(manifest())
    await w.until(lambda: w.argo_phase() == "Succeeded")
    w.delete("Workflow")


@scenario(SUCCEEDED, strays=1)
async def workflow_is_deleted_after_the_end(w: World) -> None:
    w.apply(manifest())
    await w.until(lambda: w.phase() == "Succeeded")
    await w.sleep(5)
    w.delete("Workflow")


@scenario(GONE, strays=1)
async def run_is_deleted_while_running(w: World) -> None:
    w.apply(manifest("endless"))
    await w.until(lambda: w.argo_phase() == "Running")
    await w.sleep(5)
    w.delete("PipelineRun")


@scenario(GONE, strays=1)
async def run_is_deleted_at_once(w: World) -> None:
    w.apply(manifest("endless"))
    await w.sleep(0.02)
    w.delete("PipelineRun")


@scenario(GONE, strays=1)
async def run_is_deleted_while_the_operator_is_down(w: World) -> None:
    w.apply(manifest("endless"))
    await w.until(lambda: w.argo_phase() == "Running")
    await w.sleep(5)
    w.stop_operators()
    w.delete("PipelineRun")
    await w.sleep(30)
    assert w.workflow() is None, "the garbage collector alone takes the Workflow"
    w.second_operator()


@scenario(SUCCEEDED)
async def run_ends_while_the_operator_is_down(w: World) -> None:
    w.apply(manifest())
    await w.until(lambda: w.argo_phase() == "Running")
    w.stop_operators()
    await w.until(lambda: w.argo_phase() == "Succeeded")
    await w.sleep(30)
    w.second_operator()


# ------------------------------------------------------------------------------------------------------------------ edits


@scenario(SUCCEEDED, creates=2, writes=6)
async def spec_is_edited_before_argo_has_looked(w: World) -> None:
    w.apply(manifest("never-taken-up", rate="0.1"))
    await w.sleep(0.5)
    w.apply(manifest("two-steps", rate="0.2"))


@scenario(SUCCEEDED, writes=5, restart_heals=True)
async def finished_run_is_labelled_and_edited(w: World) -> None:
    w.apply(manifest())
    await w.until(lambda: w.phase() == "Succeeded")
    await w.sleep(5)
    w.label(team="a")
    await w.sleep(5)
    w.apply({**manifest(), "displayName": "Nightly training"})


@scenario(SUCCEEDED, writes=5)
async def running_run_is_labelled_and_edited(w: World) -> None:
    w.apply(manifest())
    await w.until(lambda: w.argo_phase() == "Running")
    await w.sleep(1.5)
    w.label(team="a")
    await w.sleep(0.1)
    w.apply({**manifest(), "displayName": "Nightly training"})


@scenario(SUCCEEDED, writes=8)
async def stalled_run_is_named_and_then_corrected(w: World) -> None:
    w.apply({"workflow": {"manifest": "kind: CronWorkflow"}})
    await w.until(lambda: w.stalled() != "")
    w.apply({"workflow": {"manifest": "kind: CronWorkflow"}, "displayName": "Nightly training"})
    await w.sleep(1)
    w.apply({**manifest(), "displayName": "Nightly training"})


@scenario(WORKFLOW_DELETED, strays=1, faults="one operator")
async def label_is_taken_off_the_workflow_and_it_is_deleted(w: World) -> None:
    w.apply(manifest("endless"))
    await w.until(lambda: w.phase() == "Running")
    w.server.replace("Workflow", NAMESPACE, RUN, labels={})
    await w.sleep(5)
    w.delete("Workflow")


@scenario(SUCCEEDED, faults="one operator")
async def label_is_taken_off_the_workflow_and_put_back(w: World) -> None:
    w.apply(manifest())
    await w.until(lambda: w.argo_phase() == "Running")
    await w.sleep(1)
    w.server.replace("Workflow", NAMESPACE, RUN, labels={})
    await w.sleep(1)
    w.server.replace("Workflow", NAMESPACE, RUN, labels={"runwright.dev/run": RUN})


# ------------------------------------------------------------------------------------------------------------------ clock


@scenario(SUCCEEDED, writes=5)
async def clock_steps_back(w: World) -> None:
    w.apply(manifest())
    await w.until(lambda: w.argo_phase() == "Running")
    await w.sleep(2)
    w.clock.ahead = timedelta(hours=-1)


@scenario(SUCCEEDED, writes=7)
async def clock_steps_back_while_something_is_missing(w: World) -> None:
    w.apply({**manifest(), "serviceAccountName": "trainer"})
    await w.until(lambda: w.stalled() == "ServiceAccountNotFound")
    await w.sleep(3)
    w.clock.ahead = timedelta(hours=-1)
    await w.sleep(3)
    w.add("ServiceAccount", "trainer")


@scenario(SUCCEEDED, writes=5)
async def clock_is_behind(w: World) -> None:
    w.clock.ahead = timedelta(minutes=-10)
    w.apply(manifest())


# --------------------------------------------------------------------------------------------------------------- shutdown


@scenario(TERMINATED, writes=6)
async def run_is_terminated(w: World) -> None:
    w.apply(manifest("endless"))
    await w.until(lambda: w.phase() == "Running")
    await w.sleep(5)
    w.apply({**manifest("endless"), "shutdown": "Terminate"})


@scenario(TERMINATED, writes=8)
async def run_is_stopped_and_then_terminated(w: World) -> None:
    w.apply(manifest("endless"))
    await w.until(lambda: w.phase() == "Running")
    await w.sleep(5)
    w.apply({**manifest("endless"), "shutdown": "Stop"})
    await w.sleep(0.1)
    w.apply({**manifest("endless"), "shutdown": "Terminate"})


@scenario(TERMINATED, creates=0, writes=2)
async def run_is_shut_down_from_the_start(w: World) -> None:
    w.apply({**manifest(), "shutdown": "Stop"})


@scenario(TERMINATED, or_ends=(SUCCEEDED,), writes=5)
async def run_is_terminated_before_argo_looks(w: World) -> None:
    w.apply(manifest("slow"))
    await w.until(lambda: w.workflow() is not None)
    w.apply({**manifest("slow"), "shutdown": "Terminate"})


@scenario(TERMINATED, creates=0, writes=5)
async def stalled_run_is_terminated(w: World) -> None:
    w.apply({"workflow": {"manifest": "kind: CronWorkflow"}})
    await w.until(lambda: w.stalled() != "")
    w.apply({"workflow": {"manifest": "kind: CronWorkflow"}, "shutdown": "Terminate"})


@scenario(TERMINATED, writes=6)
async def refused_run_is_terminated(w: World) -> None:
    w.apply(manifest("refused"))
    await w.until(lambda: w.stalled() == "WorkflowRefused")
    w.apply({**manifest("refused"), "shutdown": "Terminate"})


@scenario(TERMINATED, strays=1, writes=6)
async def workflow_is_deleted_while_it_is_shut_down(w: World) -> None:
    w.apply(manifest("endless"))
    await w.until(lambda: w.phase() == "Running")
    w.apply({**manifest("endless"), "shutdown": "Stop"})
    await w.sleep(0.1)
    w.delete("Workflow")


@scenario(SUCCEEDED, or_ends=(TERMINATED,), writes=6)
async def run_is_terminated_as_it_finishes(w: World) -> None:
    w.apply(manifest())
    await w.until(lambda: w.argo_phase() == "Succeeded")
    if w.phase() not in ("Succeeded", "Failed"):
        w.apply({**manifest(), "shutdown": "Terminate"})


@scenario(TERMINATED, writes=5)
async def run_is_terminated_while_the_operator_is_down(w: World) -> None:
    w.apply(manifest("endless"))
    await w.until(lambda: w.argo_phase() == "Running")
    w.stop_operators()
    w.apply({**manifest("endless"), "shutdown": "Terminate"})
    await w.sleep(30)
    w.second_operator()
