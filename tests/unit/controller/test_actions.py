"""Actions: writes and results, also under concurrent writes.

Actions of retries are in test_actions_retry.py, actions of archiving in test_actions_archive.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from runwright.api.states import Shutdown
from runwright.controller.actions import GONE, LARGE_SOURCE, Observation
from runwright.core.decision import (
    CreateWorkflow,
    DeleteRun,
    DeleteWorkflow,
    Memory,
    ReadAgain,
    SaveSnapshot,
    SetLabels,
    ShutDownWorkflow,
)
from runwright.core.records import Absent, NotSeen, Refusal
from runwright.kube.errors import ApiError
from runwright.kube.objects import INCOMPLETE, Incompleteness, Json
from tests.unit.controller.bench import (
    KEY,
    Bench,
    after_first_call,
    deletion_expected,
    ended,
    stored_workflow,
    virtually,
)
from tests.unit.fake.client import Commit
from tests.unit.fake.world import NAMESPACE, RUN, manifest

ARCHIVED = "runwright.dev/storage-state"


# ----------------------------------------------------------------------------------------------------------- Look, Create


def test_read_again_returns_the_stored_run_and_workflow() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        look = bench.actions.carry_out(run, NotSeen(), ReadAgain())
        assert await look == Observation(run, workflow)
        assert bench.cache.run(KEY) == run and bench.cache.workflow(run) == workflow
        bench.world.delete("Workflow")
        assert await bench.actions.look(KEY) == Observation(run, Absent())
        bench.world.delete("PipelineRun")
        bench.forget_calls()
        assert await bench.actions.look(KEY) == GONE
        assert bench.calls() == {"get pipelineruns": 1}

    virtually(test)


@pytest.mark.parametrize("edit", [{"shutdown": "Stop"}, {}])
def test_create_skips_a_run_that_was_shut_down_or_replaced(edit: dict[str, str]) -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest())
        known = bench.deliver_run()
        if not edit:
            bench.world.delete("PipelineRun")
        bench.world.apply(manifest() | edit)
        assert await bench.actions.carry_out(known, NotSeen(), CreateWorkflow()) == Observation(bench.run(), NotSeen())
        assert bench.calls() == {"get pipelineruns": 1}

    virtually(test)


def test_create_skips_a_run_that_is_being_deleted() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest())
        known, body = bench.deliver_run(), bench.world.run() or {}
        going = {**body, "metadata": body["metadata"] | {"deletionTimestamp": "2026-11-24T12:00:00Z"}}

        async def get_run(_: Commit) -> Json:
            return going

        bench.client.handlers["get pipelineruns"] = get_run
        observed = await bench.actions.carry_out(known, NotSeen(), CreateWorkflow())
        assert observed.seen == NotSeen() and observed.run and observed.run.deleting
        assert bench.world.workflow() is None

    virtually(test)


def test_create_refuses_a_run_that_was_cut_as_it_was_decoded() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest())
        known, body = bench.deliver_run(), bench.world.run() or {}

        async def get_run(_: Commit) -> Json:
            return {**body, INCOMPLETE: Incompleteness("TooDeep", "spec.x is nested deeper than 100 levels")}

        bench.client.handlers["get pipelineruns"] = get_run
        observed = await bench.actions.carry_out(known, NotSeen(), CreateWorkflow())
        assert isinstance(observed.seen, Refusal) and observed.seen.reason == "TooDeep"
        assert bench.world.workflow() is None

    virtually(test)


SMALL_SPEC: Json = {"entrypoint": "main", "templates": [{"name": "main", "suspend": {}}]}
TEXT = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {entrypoint: main, templates: [{name: main, suspend: {}}]}\n#"


@pytest.mark.parametrize(
    ("source", "large"),
    [
        ({"manifest": TEXT}, False),
        ({"manifest": TEXT.ljust(LARGE_SOURCE + 1, "#")}, True),
        ({"spec": SMALL_SPEC}, False),
        ({"spec": {**SMALL_SPEC, "nodeSelector": {"a": "b" * LARGE_SOURCE}}}, True),
        ({"spec": {**SMALL_SPEC, "tolerations": [{}] * LARGE_SOURCE}}, True),
    ],
)
def test_create_builds_from_a_large_source_in_a_thread(
    source: Json, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_threads: list[object] = []

    async def to_thread(function: Callable[..., object], *arguments: object) -> object:
        in_threads.append(function)
        return function(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", to_thread)

    async def test(bench: Bench) -> None:
        bench.world.apply({"workflow": source})
        await bench.actions.carry_out(bench.deliver_run(), NotSeen(), CreateWorkflow())
        assert len(in_threads) == large and bench.world.workflow() is not None

    virtually(test)


def test_create_makes_the_workflow_of_a_run_archived_before_its_start() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest())
        known = bench.deliver_run()
        bench.world.archive()
        observed = await bench.actions.carry_out(known, NotSeen(), CreateWorkflow())
        assert observed == Observation(bench.run(), stored_workflow(bench))

    virtually(test)


def test_create_numbers_the_first_attempt_by_spec_retries() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest() | {"retries": 3})
        await bench.actions.carry_out(bench.deliver_run(), NotSeen(), CreateWorkflow())
        assert stored_workflow(bench).attempt == 3

    virtually(test)


# ------------------------------------------------------------------------------------------------------ Delete, ShutDown


def test_delete_of_a_finished_workflow_ignores_its_deleted_event() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow))
        body = bench.world.workflow() or {}
        assert await bench.actions.carry_out(run, workflow, DeleteWorkflow(workflow, "why")) == Observation(
            run, Absent()
        )
        assert bench.world.workflow() is None
        bench.intake.workflow("DELETED", body)
        assert bench.cache.workflows() == []
        bench.intake.workflow("DELETED", {**body, "metadata": body["metadata"] | {"uid": "somebody-elses"}})
        assert len(bench.cache.workflows()) == 1, "the DELETED event of another Workflow is stored"

    virtually(test)


def test_delete_of_a_running_workflow_clears_the_cache() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest("endless"))
        run = bench.deliver_run()
        bench.world.rules.operator_acts = False
        await bench.reconcile()
        bench.cache.remember(KEY, Memory(written_at=bench.world.clock.now()))
        workflow = bench.deliver_workflow()
        observed = await bench.actions.carry_out(run, workflow, DeleteWorkflow(workflow, "why"))
        assert observed == Observation(run, NotSeen()) and bench.world.workflow() is None
        assert bench.cache.workflows() == [] and bench.cache.recall(KEY) == Memory()
        assert not deletion_expected(bench)

    virtually(test)


@pytest.mark.parametrize("faster", ["the event", "the reply"])
def test_delete_accepts_the_event_before_and_after_the_reply(faster: str) -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow))
        body = bench.world.workflow() or {}
        if faster == "the event":
            bench.client.handlers["delete workflows"] = after_first_call(lambda: bench.intake.workflow("DELETED", body))
        await bench.actions.carry_out(run, workflow, DeleteWorkflow(workflow, "why"))
        if faster == "the reply":
            bench.intake.workflow("DELETED", body)
        assert bench.cache.workflows() == [] and not deletion_expected(bench)

    virtually(test)


@pytest.mark.parametrize("done", [True, False])
def test_delete_without_a_reply_leaves_the_cache_unchanged(done: bool) -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow))
        bench.deliver_workflow()

        async def unreachable(commit: Commit) -> None:
            if done:
                commit()
            raise ApiError(0, "Unreachable", "no reply")

        bench.client.handlers["delete workflows"] = unreachable
        with pytest.raises(ApiError, match="no reply"):
            await bench.actions.carry_out(run, workflow, DeleteWorkflow(workflow, "why"))
        assert not deletion_expected(bench) and bench.cache.workflows() == [workflow]

    virtually(test)


def test_delete_of_a_changed_workflow_is_a_conflict() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow))
        bench.server.patch_labels("Workflow", NAMESPACE, RUN, {"team": "a"})
        with pytest.raises(ApiError) as error:
            await bench.actions.carry_out(run, workflow, DeleteWorkflow(workflow, "why"))
        assert error.value.code == 409 and bench.world.workflow() is not None
        bench.world.delete("Workflow")
        assert await bench.actions.carry_out(run, workflow, DeleteWorkflow(workflow, "why")) == Observation(
            run, Absent()
        )

    virtually(test)


def test_shut_down_returns_the_stopped_workflow() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest("endless"))
        run = bench.deliver_run()
        await bench.reconcile()
        workflow = stored_workflow(bench)
        observed = await bench.actions.carry_out(run, workflow, ShutDownWorkflow(workflow, Shutdown.STOP))
        assert observed == Observation(run, stored_workflow(bench)) and stored_workflow(bench).shutdown == "Stop"
        bench.world.delete("Workflow")
        observed = await bench.actions.carry_out(run, workflow, ShutDownWorkflow(workflow, Shutdown.TERMINATE))
        assert observed == Observation(run, NotSeen()) and bench.cache.workflows() == []

    virtually(test)


# ------------------------------------------------------------------------------------------------------ Label, DeleteRun


def test_set_labels_adds_and_removes_labels_and_caches_the_run() -> None:
    async def test(bench: Bench) -> None:
        bench.finished(labels={"team": "a", "runwright.dev/delete-on": "2026-12-01"})
        action = SetLabels(((ARCHIVED, "Archived"), ("runwright.dev/delete-on", None)))
        run, seen = bench.deliver_run(), Absent()
        observed = await bench.actions.carry_out(run, seen, action)
        assert observed == Observation(bench.run(), seen) and observed.run and observed.run.archived
        assert (bench.world.run() or {})["metadata"]["labels"] == {"team": "a", ARCHIVED: "Archived"}
        assert bench.cache.run(KEY) == observed.run

    virtually(test)


def test_set_labels_on_a_changed_run_is_a_conflict() -> None:
    async def test(bench: Bench) -> None:
        run = bench.finished()
        bench.world.label(team="a")
        with pytest.raises(ApiError) as error:
            await bench.actions.carry_out(run, Absent(), SetLabels(((ARCHIVED, "Archived"),)))
        assert error.value.code == 409 and not bench.run().archived
        bench.world.delete("PipelineRun")
        assert await bench.actions.carry_out(run, Absent(), SetLabels(((ARCHIVED, "Archived"),))) == GONE

    virtually(test)


def test_delete_run_deletes_the_owned_objects_too() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow))
        assert await bench.actions.carry_out(run, Absent(), DeleteRun()) == GONE
        assert bench.world.run() is None
        bench.world.collect()
        bench.world.collect()
        await bench.wait(5)
        assert bench.server.objects == {}
        assert await bench.actions.carry_out(run, Absent(), DeleteRun()) == GONE, "again"

    virtually(test)


def replace_run(bench: Bench) -> None:
    bench.world.delete("PipelineRun")
    bench.finished()


@pytest.mark.parametrize("meanwhile", [replace_run, lambda bench: bench.world.label(keep="me")])
def test_delete_run_of_a_changed_or_replaced_run_is_a_conflict(meanwhile: Callable[[Bench], object]) -> None:
    async def test(bench: Bench) -> None:
        run = bench.finished()
        meanwhile(bench)
        with pytest.raises(ApiError) as error:
            await bench.actions.carry_out(run, Absent(), DeleteRun())
        assert error.value.code == 409 and bench.world.run() is not None

    virtually(test)
