"""Scenarios of retention: finished runs are archived or deleted, and Workflows deleted, when due."""

from __future__ import annotations

from datetime import timedelta

from runwright.api.retentionpolicy import RetentionPolicySpec
from tests.unit.fake.archive_scenarios import succeed
from tests.unit.fake.retry_scenarios import fail
from tests.unit.fake.scenario import GONE, SUCCEEDED, scenario
from tests.unit.fake.world import World, manifest


def kept(entrypoint: str = "two-steps", **retention: str) -> dict[str, object]:
    return {**manifest(entrypoint), "retention": retention}


@scenario(SUCCEEDED, strays=1, writes=6)
async def workflow_is_kept_for_some_seconds(w: World) -> None:
    w.apply(kept(keepWorkflow="5s"))


@scenario(GONE, strays=1, writes=5)
async def run_is_deleted_after_some_seconds(w: World) -> None:
    w.apply(kept(deleteAfter="5s"))


@scenario(SUCCEEDED, strays=1, writes=8, faults="one operator")
async def run_is_archived_after_some_seconds(w: World) -> None:
    w.apply(kept(archiveAfter="5s"))


@scenario(SUCCEEDED, strays=1, writes=8, faults="crashes")
async def archived_run_keeps_its_workflow_for_some_seconds(w: World) -> None:
    w.apply(kept(archiveAfter="5s", keepWorkflow="20s"))


@scenario(GONE, strays=1, writes=9)
async def archived_run_is_deleted_after_some_seconds(w: World) -> None:
    w.apply(kept(archiveAfter="5s", deleteAfter="60s"))


@scenario(GONE, strays=1, writes=9, faults="crashes")
async def run_that_was_archived_by_hand_is_deleted_after_some_seconds(w: World) -> None:
    w.apply(kept(deleteAfter="60s"))
    await w.until(lambda: w.phase() == "Succeeded")
    w.archive()


@scenario(SUCCEEDED, creates=2, strays=1, writes=12, restart_heals=True, faults="crashes")
async def run_that_was_restored_is_not_archived_again(w: World) -> None:
    w.apply(kept(archiveAfter="5s"))
    await w.until(lambda: w.archived())
    await w.sleep(20)
    w.unarchive()


@scenario(SUCCEEDED, creates=2, strays=1, writes=20, restart_heals=True)
async def run_is_retried_whose_workflow_was_kept_no_longer(w: World) -> None:
    w.apply(kept("flaky", keepWorkflow="5s"))
    await w.until(lambda: w.phase() == "Failed")
    await w.sleep(20)
    w.retry()


@scenario(GONE, strays=1, writes=20, faults="crashes")
async def run_is_retried_before_it_would_be_deleted(w: World) -> None:
    w.apply(kept("flaky", deleteAfter="20s"))
    await w.until(lambda: w.phase() == "Failed")
    await w.sleep(5)
    if w.run() is not None:
        w.retry()


@scenario(GONE, strays=1, writes=5, faults="crashes")
async def run_is_overdue_when_the_operator_starts(w: World) -> None:
    w.apply(kept(deleteAfter="30s"))
    await w.until(lambda: w.phase() == "Succeeded")
    w.stop_operators()
    await w.sleep(60)
    w.second_operator()


@scenario(GONE, strays=1, writes=9, faults="crashes", lists=True)
async def archived_run_is_overdue_when_the_operator_starts(w: World) -> None:
    w.apply(kept(archiveAfter="1s", deleteAfter="2000s"))
    await w.until(lambda: w.archived())
    await w.sleep(20)
    w.stop_operators()
    await w.sleep(2000)
    w.second_operator()


@scenario(GONE, strays=1, writes=5, faults="crashes")
async def clock_steps_back_before_a_run_is_deleted(w: World) -> None:
    w.apply(kept(deleteAfter="20s"))
    await w.until(lambda: w.phase() == "Succeeded")
    await w.sleep(5)
    w.clock.ahead = timedelta(minutes=-30)
    await w.sleep(1000)
    assert w.run() is not None, "it was deleted before its time"
    await w.sleep(1800)


@scenario(GONE, strays=1, writes=28, faults="crashes")
async def policy_keeps_the_last_two_runs(w: World) -> None:
    w.policy(keepSucceeded=2)
    for name in ("train", "second", "third", "fourth"):
        w.apply(manifest(), name)
        await w.sleep(15)


@scenario(GONE, strays=1, writes=12, faults="crashes", restart_heals=True, lists=True)
async def policy_comes_later(w: World) -> None:
    await succeed(w)
    w.apply(manifest(), "other")
    await w.sleep(20)
    w.policy(deleteAfter="1s")


@scenario(SUCCEEDED, strays=1, writes=8, faults="one operator")
async def run_of_a_gitops_tool_is_archived_and_not_deleted(w: World) -> None:
    w.policy(deleteAfter="5s", keepSucceeded=0)
    w.apply(manifest(), annotations={"argocd.argoproj.io/tracking-id": "team:runwright.dev/PipelineRun:team/train"})


@scenario(GONE, strays=1, writes=6, faults="crashes")
async def run_of_a_gitops_tool_that_says_so_itself_is_deleted(w: World) -> None:
    w.apply(kept(deleteAfter="5s"), labels={"kustomize.toolkit.fluxcd.io/name": "team"})


@scenario(GONE, strays=1, writes=5, faults="crashes", retention=RetentionPolicySpec(delete_after="5s"))
async def operators_default_deletes_runs(w: World) -> None:
    w.apply(manifest())


@scenario(SUCCEEDED, strays=1, writes=5, faults="crashes", retention=RetentionPolicySpec(delete_after="5s"))
async def policy_overrides_the_operators_default(w: World) -> None:
    w.policy(deleteAfter="999d")
    w.apply(manifest())


@scenario(SUCCEEDED, strays=1, writes=14, faults="crashes", restart_heals=True)
async def policy_deletes_no_run_that_is_retried(w: World) -> None:
    w.policy(keepFailed=1, keepSucceeded=5)
    await fail(w)
    w.retry()
