"""What each action does and what it tells, also where somebody else was faster.

Those of a retry are in test_actions_retry.py, those of archiving in test_actions_archive.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from runwright.api.states import Shutdown
from runwright.controller.actions import GONE, LONG_MANIFEST, Observation
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
from runwright.core.records import Absent, NotSeen
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json
from tests.unit.controller.bench import KEY, Bench, after, deletion_expected, ended, there, virtually
from tests.unit.fake.client import Commit
from tests.unit.fake.world import NAMESPACE, RUN, manifest

ARCHIVED = "runwright.dev/storage-state"


# ----------------------------------------------------------------------------------------------------------- Look, Create


def test_look_reads_both_as_they_are_now() -> None:
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
def test_a_run_that_is_to_be_shut_down_or_is_another_by_now_gets_no_workflow(edit: dict[str, str]) -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest())
        known = bench.tell()
        if not edit:
            bench.world.delete("PipelineRun")
        bench.world.apply(manifest() | edit)
        assert await bench.actions.carry_out(known, NotSeen(), CreateWorkflow()) == Observation(bench.run(), NotSeen())
        assert bench.calls() == {"get pipelineruns": 1}

    virtually(test)


def test_a_run_that_is_being_deleted_gets_no_workflow() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest())
        known, body = bench.tell(), bench.world.run() or {}
        going = {**body, "metadata": body["metadata"] | {"deletionTimestamp": "2026-11-24T12:00:00Z"}}

        async def get_run(_: Commit) -> Json:
            return going

        bench.client.handlers["get pipelineruns"] = get_run
        observed = await bench.actions.carry_out(known, NotSeen(), CreateWorkflow())
        assert observed.seen == NotSeen() and observed.run and observed.run.deleting
        assert bench.world.workflow() is None

    virtually(test)


@pytest.mark.parametrize("characters", [100, LONG_MANIFEST + 1])
def test_a_long_manifest_is_read_in_a_thread(characters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    in_threads: list[object] = []

    async def to_thread(function: Callable[..., object], *arguments: object) -> object:
        in_threads.append(function)
        return function(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", to_thread)

    async def test(bench: Bench) -> None:
        manifest = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {entrypoint: main, templates: [{name: main, suspend: {}}]}\n#"
        bench.world.apply({"workflow": {"manifest": manifest.ljust(characters, "#")}})
        await bench.actions.carry_out(bench.tell(), NotSeen(), CreateWorkflow())
        assert len(in_threads) == (characters > LONG_MANIFEST) and bench.world.workflow() is not None

    virtually(test)


def test_a_run_that_is_archived_before_it_has_begun_gets_its_workflow_all_the_same() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest())
        known = bench.tell()
        bench.world.archive()
        observed = await bench.actions.carry_out(known, NotSeen(), CreateWorkflow())
        assert observed == Observation(bench.run(), there(bench))

    virtually(test)


def test_the_first_attempt_has_the_number_that_the_run_was_created_with() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest() | {"retries": 3})
        await bench.actions.carry_out(bench.tell(), NotSeen(), CreateWorkflow())
        assert there(bench).attempt == 3

    virtually(test)


# ------------------------------------------------------------------------------------------------------ Delete, ShutDown


def test_a_workflow_that_we_delete_after_its_run_has_ended_tells_nothing_by_its_end() -> None:
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
        assert len(bench.cache.workflows()) == 1, "the end of any other one tells how its run ended"

    virtually(test)


def test_a_workflow_that_is_to_be_replaced_is_forgotten_when_it_is_deleted() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest("endless"))
        run = bench.tell()
        bench.world.rules.operator_acts = False
        await bench.reconcile()
        bench.cache.remember(KEY, Memory(written_at=bench.world.clock.now()))
        workflow = bench.tell_workflow()
        observed = await bench.actions.carry_out(run, workflow, DeleteWorkflow(workflow, "why"))
        assert observed == Observation(run, NotSeen()) and bench.world.workflow() is None
        assert bench.cache.workflows() == [] and bench.cache.recall(KEY) == Memory()
        assert not deletion_expected(bench)

    virtually(test)


@pytest.mark.parametrize("faster", ["the event", "the reply"])
def test_the_last_event_of_a_workflow_that_we_delete_may_be_here_before_the_reply(faster: str) -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow))
        body = bench.world.workflow() or {}
        if faster == "the event":
            bench.client.handlers["delete workflows"] = after(lambda: bench.intake.workflow("DELETED", body))
        await bench.actions.carry_out(run, workflow, DeleteWorkflow(workflow, "why"))
        if faster == "the reply":
            bench.intake.workflow("DELETED", body)
        assert bench.cache.workflows() == [] and not deletion_expected(bench)

    virtually(test)


@pytest.mark.parametrize("done", [True, False])
def test_a_deletion_with_an_unknown_outcome_is_not_expected(done: bool) -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow))
        bench.tell_workflow()

        async def unreachable(commit: Commit) -> None:
            if done:
                commit()
            raise ApiError(0, "Unreachable", "no reply")

        bench.client.handlers["delete workflows"] = unreachable
        with pytest.raises(ApiError, match="no reply"):
            await bench.actions.carry_out(run, workflow, DeleteWorkflow(workflow, "why"))
        assert not deletion_expected(bench) and bench.cache.workflows() == [workflow]

    virtually(test)


def test_a_workflow_is_deleted_only_as_it_was_seen() -> None:
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


def test_a_workflow_is_shut_down_and_returned_as_it_is_then() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest("endless"))
        run = bench.tell()
        await bench.reconcile()
        workflow = there(bench)
        observed = await bench.actions.carry_out(run, workflow, ShutDownWorkflow(workflow, Shutdown.STOP))
        assert observed == Observation(run, there(bench)) and there(bench).shutdown == "Stop"
        bench.world.delete("Workflow")
        observed = await bench.actions.carry_out(run, workflow, ShutDownWorkflow(workflow, Shutdown.TERMINATE))
        assert observed == Observation(run, NotSeen()) and bench.cache.workflows() == []

    virtually(test)


# ------------------------------------------------------------------------------------------------------ Label, DeleteRun


def test_labels_are_set_and_taken_away_and_the_run_is_known_as_it_is_then() -> None:
    async def test(bench: Bench) -> None:
        bench.finished(labels={"team": "a", "runwright.dev/delete-on": "2026-12-01"})
        action = SetLabels(((ARCHIVED, "Archived"), ("runwright.dev/delete-on", None)))
        run, seen = bench.tell(), Absent()
        observed = await bench.actions.carry_out(run, seen, action)
        assert observed == Observation(bench.run(), seen) and observed.run and observed.run.archived
        assert (bench.world.run() or {})["metadata"]["labels"] == {"team": "a", ARCHIVED: "Archived"}
        assert bench.cache.run(KEY) == observed.run

    virtually(test)


def test_a_run_that_was_written_meanwhile_is_not_labelled() -> None:
    async def test(bench: Bench) -> None:
        run = bench.finished()
        bench.world.label(team="a")
        with pytest.raises(ApiError) as error:
            await bench.actions.carry_out(run, Absent(), SetLabels(((ARCHIVED, "Archived"),)))
        assert error.value.code == 409 and not bench.run().archived
        bench.world.delete("PipelineRun")
        assert await bench.actions.carry_out(run, Absent(), SetLabels(((ARCHIVED, "Archived"),))) == GONE

    virtually(test)


def test_a_run_is_deleted_with_what_it_owns() -> None:
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


def another(bench: Bench) -> None:
    bench.world.delete("PipelineRun")
    bench.finished()


@pytest.mark.parametrize("meanwhile", [another, lambda bench: bench.world.label(keep="me")])
def test_a_run_that_is_another_or_was_written_meanwhile_is_not_deleted(meanwhile: Callable[[Bench], object]) -> None:
    async def test(bench: Bench) -> None:
        run = bench.finished()
        meanwhile(bench)
        with pytest.raises(ApiError) as error:
            await bench.actions.carry_out(run, Absent(), DeleteRun())
        assert error.value.code == 409 and bench.world.run() is not None

    virtually(test)
