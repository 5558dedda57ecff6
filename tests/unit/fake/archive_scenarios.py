"""Scenarios of archiving and restoring runs by their label."""

from __future__ import annotations

from runwright.api.labels import STORAGE_STATE_LABEL
from tests.unit.fake.retry_scenarios import fail
from tests.unit.fake.scenario import FAILED, GONE, SUCCEEDED, TERMINATED, scenario
from tests.unit.fake.world import World, manifest


async def succeed(w: World) -> None:
    """Create a run, wait until it has succeeded, and let some time pass."""
    w.apply(manifest())
    await w.until(lambda: w.phase() == "Succeeded")
    await w.sleep(5)


@scenario(SUCCEEDED, strays=1, writes=7, lists=True)
async def run_is_archived(w: World) -> None:
    await succeed(w)
    w.archive()


@scenario(SUCCEEDED, strays=1, writes=8)
async def running_run_is_archived(w: World) -> None:
    w.apply(manifest())
    await w.until(lambda: w.argo_phase() == "Running")
    await w.sleep(1)
    w.archive()


@scenario(SUCCEEDED, writes=8, strays=1, faults="one operator")
async def run_is_archived_at_once(w: World) -> None:
    w.apply(manifest())
    await w.sleep(0.008)
    w.archive()


@scenario(SUCCEEDED, strays=1, writes=8, lists=True)
async def run_is_made_archived(w: World) -> None:
    w.apply(manifest(), labels={STORAGE_STATE_LABEL: "Archived"})


@scenario(TERMINATED, strays=1, writes=10, faults="one operator")
async def archived_run_is_terminated(w: World) -> None:
    w.apply(manifest("endless"))
    await w.until(lambda: w.phase() == "Running")
    w.archive()
    await w.sleep(15)
    w.apply({**manifest("endless"), "shutdown": "Terminate"})


@scenario(SUCCEEDED, creates=2, strays=1, writes=10, restart_heals=True)
async def archived_run_is_restored(w: World) -> None:
    await succeed(w)
    w.archive()
    await w.until(w.archived)
    await w.sleep(20)
    w.unarchive()


@scenario(SUCCEEDED, creates=2, strays=1, writes=10, restart_heals=True, exact=False)
async def archived_run_is_restored_at_once(w: World) -> None:
    await succeed(w)
    w.archive()
    await w.sleep(0.012)
    w.unarchive()


@scenario(SUCCEEDED, strays=1, writes=6, faults="crashes")
async def archived_run_is_restored_before_it_ends(w: World) -> None:
    w.apply(manifest())
    await w.until(lambda: w.argo_phase() == "Running")
    w.archive()
    await w.sleep(2)
    w.unarchive()


@scenario(SUCCEEDED, strays=1, writes=7, faults="crashes", lists=True)
async def run_is_archived_while_the_operator_is_down(w: World) -> None:
    await succeed(w)
    w.stop_operators()
    w.archive()
    await w.sleep(30)
    w.second_operator()


@scenario(SUCCEEDED, creates=2, strays=1, writes=10, restart_heals=True, faults="crashes")
async def archived_run_is_restored_while_the_operator_is_down(w: World) -> None:
    await succeed(w)
    w.archive()
    await w.sleep(400)
    w.stop_operators()
    w.unarchive()
    await w.sleep(30)
    w.second_operator()


@scenario(SUCCEEDED, writes=6, strays=1, faults="crashes")
async def run_is_archived_whose_workflow_was_deleted(w: World) -> None:
    await succeed(w)
    w.delete("Workflow")
    await w.sleep(5)
    w.archive()


@scenario(TERMINATED, creates=0, writes=6, faults="crashes")
async def run_is_archived_that_never_had_a_workflow(w: World) -> None:
    w.apply({**manifest(), "shutdown": "Stop"})
    await w.until(lambda: w.phase() == "Failed")
    w.archive()


@scenario(SUCCEEDED, creates=2, strays=1, writes=20, restart_heals=True, faults="crashes")
async def failed_run_is_archived_restored_and_retried(w: World) -> None:
    await fail(w)
    w.archive()
    await w.sleep(400)
    w.unarchive()
    await w.sleep(20)
    w.retry()


@scenario(SUCCEEDED, creates=2, strays=1, writes=20, restart_heals=True)
async def failed_run_is_archived_and_retried_as_it_is_restored(w: World) -> None:
    await fail(w)
    w.archive()
    await w.sleep(400)
    w.unarchive()
    w.retry()


@scenario(SUCCEEDED, creates=2, strays=1, writes=20, restart_heals=True, faults="crashes")
async def archived_run_is_retried_and_then_restored(w: World) -> None:
    await fail(w)
    w.archive()
    await w.sleep(400)
    w.retry()
    await w.sleep(20)
    w.unarchive()


@scenario(GONE, strays=1, writes=7)
async def archived_run_is_deleted(w: World) -> None:
    await succeed(w)
    w.archive()
    await w.sleep(20)
    w.delete("PipelineRun")


@scenario(GONE, strays=1, writes=7, faults="crashes")
async def run_is_deleted_as_it_is_archived(w: World) -> None:
    await succeed(w)
    w.archive()
    await w.sleep(0.01)
    w.delete("PipelineRun")


@scenario(SUCCEEDED, strays=1, writes=24, faults="crashes")
async def three_runs_are_archived_together(w: World) -> None:
    names = ("other", "train", "third")
    for name in names:
        w.apply(manifest(), name)
    await w.until(lambda: all(w.phase(name) == "Succeeded" for name in names))
    for name in names:
        w.archive(name)


@scenario(SUCCEEDED, or_ends=(FAILED,), creates=2, strays=1, writes=20, restart_heals=True, exact=False)
async def run_is_archived_as_its_attempt_begins(w: World) -> None:
    w.policy(keepWorkflow="0s")
    await fail(w)
    w.retry()
    await w.until(lambda: w.argo_phase() == "Running", at_most=60)
    w.archive()
