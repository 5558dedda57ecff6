"""Scenarios of retries, in each state of the run and its Workflow."""

from __future__ import annotations

from tests.unit.fake.scenario import FAILED, SUCCEEDED, TERMINATED, WORKFLOW_DELETED, scenario
from tests.unit.fake.world import World, manifest


async def fail(w: World, entrypoint: str = "flaky") -> None:
    """Create a run, wait until it has failed, and let some time pass."""
    w.apply(manifest(entrypoint))
    await w.until(lambda: w.phase() in ("Failed", "Error"))
    await w.sleep(5)


@scenario(SUCCEEDED, writes=14, restart_heals=True)
async def failed_run_is_retried(w: World) -> None:
    await fail(w)
    w.retry()


@scenario(FAILED, writes=14, restart_heals=True, faults="crashes")
async def retried_run_fails_again(w: World) -> None:
    await fail(w, "failing")
    w.retry()


@scenario(SUCCEEDED, writes=24, restart_heals=True, faults="crashes")
async def run_is_retried_twice(w: World) -> None:
    await fail(w, "flaky-twice")
    w.retry()
    await w.sleep(20)
    w.retry()


@scenario(SUCCEEDED, writes=14, restart_heals=True, faults="crashes")
async def run_with_compressed_nodes_is_retried(w: World) -> None:
    await fail(w, "compressed-flaky")
    w.retry()


@scenario(SUCCEEDED, writes=14, restart_heals=True, faults="crashes")
async def run_that_argo_could_not_run_is_retried(w: World) -> None:
    await fail(w, "erring")
    w.retry()


@scenario(SUCCEEDED, writes=16, restart_heals=True, faults="crashes")
async def terminated_run_is_retried(w: World) -> None:
    w.apply(manifest("endless"))
    await w.until(lambda: w.phase() == "Running")
    w.apply({**manifest("endless"), "shutdown": "Terminate"})
    await w.until(lambda: w.phase() == "Failed")
    await w.sleep(5)
    w.retry()


@scenario(TERMINATED, or_ends=(SUCCEEDED,), writes=16, restart_heals=True, faults="one operator")
async def retried_run_is_terminated(w: World) -> None:
    await fail(w)
    w.retry()
    await w.until(lambda: w.phase() == "Running", at_most=60)
    if w.phase() == "Running":
        w.apply({**manifest("flaky"), "shutdown": "Terminate"})


@scenario(SUCCEEDED, creates=2, strays=1, writes=14, restart_heals=True)
async def run_is_retried_whose_workflow_was_deleted(w: World) -> None:
    await fail(w)
    w.delete("Workflow")
    await w.sleep(5)
    w.retry()


@scenario(SUCCEEDED, creates=2, strays=1, writes=20, restart_heals=True, faults="crashes")
async def run_is_retried_as_its_workflow_is_deleted(w: World) -> None:
    await fail(w)
    w.delete("Workflow")
    w.retry()


@scenario(SUCCEEDED, or_ends=(WORKFLOW_DELETED,), creates=2, strays=1, writes=20, restart_heals=True)
async def workflow_is_deleted_as_the_run_is_retried(w: World) -> None:
    await fail(w)
    w.retry()
    await w.sleep(0.6)
    w.delete("Workflow")


@scenario(SUCCEEDED, creates=2, strays=1, writes=14, restart_heals=True, faults="crashes")
async def run_is_retried_that_ended_since_its_workflow_was_deleted(w: World) -> None:
    w.apply(manifest("endless"))
    await w.until(lambda: w.phase() == "Running")
    await w.sleep(5)
    w.delete("Workflow")
    await w.until(lambda: w.phase() == "Error")
    await w.sleep(5)
    w.retry()


@scenario(SUCCEEDED, writes=8, restart_heals=True)
async def run_is_retried_that_never_had_a_workflow(w: World) -> None:
    w.apply({**manifest(), "shutdown": "Terminate"})
    await w.until(lambda: w.phase() == "Failed")
    await w.sleep(5)
    w.retry()


@scenario(SUCCEEDED, writes=14, restart_heals=True, faults="crashes")
async def run_is_retried_while_the_operator_is_down(w: World) -> None:
    await fail(w)
    w.stop_operators()
    w.retry()
    await w.sleep(30)
    w.second_operator()


@scenario(SUCCEEDED, writes=14, restart_heals=True, faults="crashes")
async def workflow_is_retried_by_argo_retry_and_then_the_run(w: World) -> None:
    await fail(w)
    w.argo_retry()
    await w.sleep(20)
    w.retry()


@scenario(FAILED, writes=6, restart_heals=True, faults="crashes")
async def workflow_is_retried_by_argo_retry(w: World) -> None:
    await fail(w)
    w.argo_retry()


@scenario(SUCCEEDED, writes=14, restart_heals=True)
async def run_is_retried_while_its_workflow_runs_by_argo_retry(w: World) -> None:
    await fail(w)
    w.argo_retry()
    await w.sleep(2)
    w.retry()
