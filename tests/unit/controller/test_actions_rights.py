"""Missing permissions are reported in the run; Workflows get the label of the run's shard."""

from __future__ import annotations

from typing import Any, cast

import pytest

from runwright.core.decision import ReadAgain, RecreateWorkflow, RetryWorkflow, SaveSnapshot
from runwright.core.records import Kept, NotSeen, Refusal
from runwright.core.workflow.build import BuildOptions
from runwright.kube.errors import ApiError
from tests.unit.controller.bench import Bench, ended, failing, stored_workflow, virtually
from tests.unit.fake.world import RUN, manifest

SHARD = "runwright.dev/shard"
FORBIDDEN = ApiError(403, "Forbidden", "pods is forbidden: the operator cannot list them")


def forbid(bench: Bench, *calls: str) -> None:
    """Make the API server refuse these calls."""
    for call in calls:
        bench.client.handlers[call] = failing(FORBIDDEN)


def in_shard(bench: Bench, name: str) -> None:
    bench.actions._options = BuildOptions(shard=name)


def labels(bench: Bench) -> dict[str, str]:
    return cast(dict[str, Any], bench.world.workflow() or {})["metadata"].get("labels") or {}


@pytest.mark.parametrize("gone", [False, True])
def test_a_forbidden_retry_is_a_refusal_that_can_heal(gone: bool) -> None:
    async def test(bench: Bench) -> None:
        _, workflow = await ended(bench)
        bench.world.retry()
        if gone:
            bench.world.delete("Workflow")
        run = bench.deliver_run()
        forbid(bench, "list pods")
        observed = await bench.actions.carry_out(
            run, NotSeen(), RecreateWorkflow() if gone else RetryWorkflow(workflow)
        )
        assert observed.seen == Refusal(
            "Forbidden", f"the operator may not retry runs: {FORBIDDEN.message}", heals=True
        )
        assert bench.run().retries == 1 and bench.run().status.retries == 0

    virtually(test)


def test_a_server_error_of_a_retry_is_raised() -> None:
    async def test(bench: Bench) -> None:
        _, workflow = await ended(bench)
        bench.world.retry()
        run = bench.deliver_run()
        bench.client.fail("list pods", ApiError(500, "InternalError", "no"))
        with pytest.raises(ApiError, match="500"):
            await bench.actions.carry_out(run, NotSeen(), RetryWorkflow(workflow))

    virtually(test)


def test_a_forbidden_snapshot_keeps_the_workflow() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        forbid(bench, "create workflowsnapshots")
        observed = await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow))
        assert observed.seen == Kept(
            stored_workflow(bench), f"the Workflow stays: the operator may not keep it ({FORBIDDEN.message})"
        )

    virtually(test)


def test_a_run_from_another_shard_relabels_its_workflow_once() -> None:
    async def test(bench: Bench) -> None:
        in_shard(bench, "gold")
        bench.world.apply(manifest())
        bench.deliver_run()
        await bench.reconcile()
        assert labels(bench)[SHARD] == "gold"
        in_shard(bench, "rest")
        bench.forget_calls()
        observed = await bench.actions.carry_out(bench.run(), NotSeen(), ReadAgain())
        assert labels(bench)[SHARD] == "rest"
        assert observed.seen == stored_workflow(bench)
        assert bench.calls() == {"get pipelineruns": 1, "get workflows": 1, "patch workflows": 1}
        bench.forget_calls()
        await bench.actions.carry_out(bench.run(), NotSeen(), ReadAgain())
        assert "patch workflows" not in bench.calls(), "only once"

    virtually(test)


def test_a_finished_run_does_not_relabel_its_workflow() -> None:
    async def test(bench: Bench) -> None:
        run, _ = await ended(bench)
        in_shard(bench, "rest")
        bench.forget_calls()
        await bench.actions.carry_out(run, NotSeen(), ReadAgain())
        assert "patch workflows" not in bench.calls()
        assert SHARD not in labels(bench)

    virtually(test)


def test_an_operator_without_a_shard_writes_no_shard_label() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest())
        bench.deliver_run()
        await bench.reconcile()
        assert SHARD not in labels(bench)
        assert labels(bench)["runwright.dev/run"] == RUN

    virtually(test)
