"""`wait`: when it ends, with which exit code, and what it prints."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from runwright.kubectl.selecting import Chosen
from runwright.kubectl.session import Exit, Target
from runwright.kubectl.waiting import (
    GOALS,
    describe_state,
    exit_code_of,
    has_reached,
    is_out_of_reach,
    wait_runs,
)
from tests.unit.core.test_edits import a_run
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient
from tests.unit.kubectl.conftest import event_at


@pytest.mark.parametrize("phase", ["Succeeded", "Skipped", "Failed", "Error"])
def test_an_ended_run_has_reached_the_end_and_its_phase(phase: str):
    assert has_reached(a_run(phase), "end")
    assert has_reached(a_run(phase), phase.lower())
    assert exit_code_of(a_run(phase)) == (3 if phase in ("Failed", "Error") else 0)


@pytest.mark.parametrize("goal", GOALS)
def test_a_run_with_a_requested_retry_has_not_ended(goal: str):
    assert not has_reached(a_run("Failed", 1, 0), goal)
    assert not is_out_of_reach(a_run("Failed", 1, 0), goal)


def test_another_final_phase_puts_a_phase_out_of_reach():
    assert is_out_of_reach(a_run("Failed"), "succeeded")
    assert not is_out_of_reach(a_run("Running"), "succeeded")
    assert not is_out_of_reach(a_run("Succeeded"), "archived")
    assert not is_out_of_reach(a_run("Failed"), "failed")


def test_archived_is_reached_when_the_operator_has_archived_the_run():
    run = a_run("Failed", label="Archived")
    assert not has_reached(run, "archived")
    assert has_reached({**run, "status": {**run["status"], "storageState": "Archived"}}, "archived")


@pytest.mark.parametrize(("phase", "state"), [("", "it is not started"), ("Running", "it is Running")])
def test_the_state_of_a_run_that_has_not_ended_is_its_phase(phase: str, state: str):
    assert describe_state({"status": {"phase": phase}}) == state


# --------------------------------------------------------------------------------------------------------- the command
def add_run(server: ApiServer, name: str, phase: str) -> None:
    server.create("PipelineRun", {"metadata": {"namespace": "team", "name": name}, "spec": {}})
    server.patch_status("PipelineRun", "team", name, {"phase": phase})


def chosen(*names: str) -> Chosen:
    return Chosen(Target(), names)


async def test_wait_returns_when_each_run_has_ended(
    server: ApiServer, connected: FakeClient, capsys: pytest.CaptureFixture[str]
):
    add_run(server, "first", "Succeeded")
    add_run(server, "second", "Running")
    watched = event_at(connected, "watch pipelineruns")
    waiting = asyncio.create_task(wait_runs(chosen("first", "second"), "end", None))
    await watched.wait()
    server.patch_status("PipelineRun", "team", "second", {"phase": "Succeeded"})
    await waiting
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "pipelinerun.runwright.dev/first Succeeded",
        "pipelinerun.runwright.dev/second Succeeded",
    ]


async def test_wait_exits_with_the_highest_code_after_all_runs(
    server: ApiServer, connected: FakeClient, capsys: pytest.CaptureFixture[str]
):
    add_run(server, "good", "Succeeded")
    add_run(server, "bad", "Failed")
    with pytest.raises(Exit) as end:
        await wait_runs(chosen("good", "bad", "absent"), "end", None)
    assert end.value.code == 3
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 2
    assert printed.err == ('runwright: 404 NotFound: pipelineruns.runwright.dev "absent" not found in namespace team\n')


async def test_wait_exits_with_4_at_the_timeout(
    server: ApiServer, connected: FakeClient, capsys: pytest.CaptureFixture[str]
):
    add_run(server, "slow", "Running")
    with pytest.raises(Exit) as end:
        await wait_runs(chosen("slow"), "end", timedelta(milliseconds=20))
    assert end.value.code == 4
    assert capsys.readouterr().err == "runwright: pipelinerun.runwright.dev/slow: timed out before it reached end\n"
