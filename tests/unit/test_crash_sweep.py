"""Every scenario with every fault at every place ends as it does without faults.

Faults: the operator dies before or after each single API call, each call fails or gets no reply, each watch event is
lost, late or delivered twice, and a second operator is there. What must hold besides is in `tests.unit.fake.rules`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pytest

from runwright.controller.reconciler import status_json
from runwright.core.run_record import read_run_status
from tests.unit.fake import archive_scenarios, metrics_scenarios, retention_scenarios, retry_scenarios, scenarios
from tests.unit.fake.faults import Fault
from tests.unit.fake.rules import condition_of
from tests.unit.fake.scenario import GONE, SCENARIOS, Ends, Scenario
from tests.unit.fake.virtual_time import run_virtually
from tests.unit.fake.world import COLLECT_SECONDS, RUN, SETTLE_SECONDS, World

Json = Mapping[str, Any]

PLAYED = (scenarios, retry_scenarios, archive_scenarios, retention_scenarios, metrics_scenarios)
"""Where scenarios are: each module adds its own to SCENARIOS."""

FINISHED = ("Succeeded", "Failed", "Error")

MAX_STATUS_BYTES = 8192

EVERYTHING = os.environ.get("SWEEP") == "everything"
"""Whether every scenario is played with all faults at all places: three times the cases, for a change in `runtime/`."""

SWEPT_LISTS = ("list pipelineruns", "list workflows")
"""What resync and sweep list."""

PLAY_SECONDS = 7200.0
"""Virtual time in which a scenario must have been played."""

CRASHES = ("crash before", "crash after")
CALL_FAULTS = (*CRASHES, "long crash before", "500")
READ_FAULTS = ("crash before", "500")
PAUSES = ("paused before", "paused after", "long paused before")
WRITE_FAULTS = (
    "long crash after",
    "409",
    "429",
    "no reply before",
    "no reply after",
    "committed late",
    "committed very late",
    "second operator",
)
"""What makes no difference to a read is done to writes only."""
EVENT_FAULTS = (
    "event lost",
    "event delivered twice",
    "event delivered late",
    "event delivered very late",
    "three events lost",
)
STREAM_FAULTS = ("PipelineRuns are delivered late", "Workflows are delivered late")
ALIKE = ("429", "no reply before", "long crash before", "paused before", "event delivered very late")
"""What differs little from another kind: left to SWEEP=everything."""
SHIFTS = 6
"""Two operators from the start, the second one so many times 0.7 ms later: their calls lie differently in between."""

TWO_OPERATORS = (*PAUSES, "second operator", "two operators")
MAKES_STRAYS = (*TWO_OPERATORS, *WRITE_FAULTS, "long crash before", "long crash after")
"""Faults by which two operators or two requests are there at a time, or nobody while something happens."""


@dataclass
class Played:
    """The outcome of one play."""

    calls: list[str]
    deliveries: int
    runs: dict[str, Json]
    ends: dict[str, Ends]
    snapshots: dict[str, tuple[str, int]]
    """Of each WorkflowSnapshot: the run that owns it and the attempt."""
    workflows: dict[str, tuple[str, str]]
    """Of each Workflow: the run that owns it and Argo's phase."""
    reasons: set[tuple[str, str]]
    """Of each Kubernetes Event: the run and the reason."""
    created: int
    """The most Workflows of one run."""
    writes: int
    problems: list[str]


def play(scenario: Scenario, fault: Fault) -> Played:
    return run_virtually(play_in_world(scenario, fault))


async def play_in_world(scenario: Scenario, fault: Fault) -> Played:
    world = World(fault, COLLECT_SECONDS if scenario.collect else None, scenario.retention)
    world.start_operator()
    if fault.kind == "two operators":
        asyncio.get_running_loop().call_later(fault.at * 0.0007, world.second_operator)
    async with asyncio.timeout(PLAY_SECONDS):
        await scenario.play(world)
    await world.sleep(SETTLE_SECONDS)
    if scenario.restart_heals and "lost" in fault.kind:
        world.second_operator()
        await world.sleep(60)
    played = Played(
        calls=list(world.calls),
        deliveries=world.deliveries,
        runs={name: comparable(body, world) for name, body in runs_of(world)},
        ends={RUN: GONE, **{name: ends_of(body) for name, body in runs_of(world)}},
        snapshots={
            body["metadata"]["name"]: (owner_of(body, world), body["attempt"])
            for body in world.server.list("WorkflowSnapshot")
        },
        workflows={
            body["metadata"]["name"]: (owner_of(body, world), body.get("status", {}).get("phase", ""))
            for body in world.server.list("Workflow")
        },
        reasons={(event["involvedObject"]["name"], event["reason"]) for event in world.server.events.values()},
        created=max(world.rules.created.values(), default=0),
        writes=world.rules.writes(),
        problems=world.problems,
    )
    for name, body in runs_of(world):
        status = read_run_status(body.get("status"))
        if len(status_bytes(status_json(status))) > MAX_STATUS_BYTES:
            world.problems.append(f"the status of {name} is too large")
    await world.check_quiet()
    return played


def status_bytes(status: Json) -> bytes:
    return json.dumps(status, separators=(",", ":"), ensure_ascii=False).encode()


def runs_of(world: World) -> Iterator[tuple[str, Json]]:
    for body in world.server.list("PipelineRun"):
        yield body["metadata"]["name"], body


def ends_of(run: Json) -> Ends:
    status = run.get("status", {})
    stalled = condition_of(status, "Stalled")
    return (
        status.get("phase", ""),
        condition_of(status, "Succeeded").get("reason", ""),
        stalled["reason"] if stalled.get("status") == "True" else "",
    )


def owner_of(body: Json, world: World) -> str:
    uids = {body["metadata"]["uid"]: name for name, body in runs_of(world)}
    return next((uids.get(o["uid"], "gone") for o in body["metadata"].get("ownerReferences", ())), "")


CUT_SHORT = ("WorkflowDeleted", "Terminated")
"""Ends whose moment is the operator's or the user's, so that what had happened by then may differ."""


def comparable(run: Json, world: World) -> Json:
    """A run's status without what may differ: times, and what of a Workflow was last seen before it was deleted."""
    status = dict(run.get("status", {}))
    if condition_of(status, "Succeeded").get("reason") in CUT_SHORT:
        for unknown in ("message", "nodes", "progress", "duration", "startedAt", "workflow"):
            status.pop(unknown, None)
    workflow = world.workflow(run["metadata"]["name"])
    if "workflow" in status:
        present = workflow is not None and workflow["metadata"]["uid"] == status["workflow"]["uid"]
        status["workflow"] = {"name": status["workflow"]["name"], "present": present}
    # Stalled=False stays as a trace of a stall that came to pass or not.
    status["conditions"] = [
        {key: value for key, value in c.items() if key not in ("lastTransitionTime", "message")}
        | ({} if c["reason"] in CUT_SHORT else {"message": c.get("message")})
        for c in status.get("conditions", ())
        if (c["type"], c["status"]) != ("Stalled", "False")
    ]
    return {"labels": run["metadata"].get("labels") or {}, **without_times(status)}


def without_times(value: Any) -> Any:
    match value:
        case Mapping():
            return {key: bool(item) if key.endswith("At") else without_times(item) for key, item in value.items()}
        case list():
            return [without_times(item) for item in value]
        case _:
            return value


def faults_of(scenario: Scenario, calm: Played) -> Iterator[Fault]:
    """The faults at the places that the play without faults has, and some after it."""
    if EVERYTHING:
        yield from every_fault(calm, "all", lists=True)
    else:
        faults = every_fault(calm, scenario.faults, scenario.lists)
        yield from (fault for fault in faults if fault.kind not in ALIKE)


def every_fault(calm: Played, level: str, lists: bool) -> Iterator[Fault]:
    """Every fault of a level at every place: as Scenario.faults and Scenario.lists say."""
    alone = level != "all"
    for number in range(len(calm.calls) + 1):
        call = calm.calls[number] if number < len(calm.calls) else "patch"
        if call in SWEPT_LISTS and not lists:
            continue
        for kind in CRASHES if level == "crashes" else call_faults(call):
            if not (alone and kind in TWO_OPERATORS):
                yield Fault(kind, number)
    if level == "crashes":
        return
    for number in range(calm.deliveries):
        yield from (Fault(kind, number) for kind in EVENT_FAULTS)
    yield from (Fault(kind) for kind in STREAM_FAULTS)
    if not alone:
        yield from (Fault("two operators", number) for number in range(SHIFTS))


def call_faults(call: str) -> tuple[str, ...]:
    """What can make a difference to this call: whatever goes wrong before a read is as if it came after the last write."""
    if EVERYTHING or not call.startswith(("get", "list")):
        return CALL_FAULTS + PAUSES + WRITE_FAULTS
    return READ_FAULTS if call in SWEPT_LISTS else (*READ_FAULTS, "paused after")


def faults_found(scenario: Scenario, calm: Played, fault: Fault, played: Played) -> list[str]:
    """What is wrong with a play under a fault."""
    calm_unfinished = {name for name, (_, phase) in calm.workflows.items() if phase not in FINISHED}
    found = list(played.problems)
    # An operator that stood still may take the Workflow of a run that was brought back meanwhile: its snapshot stays.
    dropped = fault.kind in PAUSES and scenario.creates > 1 and played.snapshots == calm.snapshots
    exact = scenario.exact and played.created <= scenario.creates and not dropped
    ends = {name: [end, *scenario.or_ends] for name, end in calm.ends.items()}
    for name in ends.keys() | played.ends.keys():
        if played.ends.get(name) not in ends.get(name, []):
            found.append(f"{name} ended as {played.ends.get(name)} and not as {ends.get(name)}")
        elif exact and played.ends[name] == calm.ends[name] and played.runs.get(name) != calm.runs.get(name):
            found.append(f"{name} has the status {played.runs.get(name)} and not {calm.runs.get(name)}")
    if exact and played.ends == calm.ends and played.workflows != calm.workflows:
        found.append(f"the Workflows are {played.workflows} and not {calm.workflows}")
    if scenario.exact and played.ends == calm.ends and played.snapshots != calm.snapshots:
        found.append(f"the snapshots are {played.snapshots} and not {calm.snapshots}")
    if unfinished := {name for name, (_, phase) in played.workflows.items() if phase not in FINISHED} - calm_unfinished:
        found.append(f"the Workflows {unfinished} go on running")
    allowed = scenario.creates + (scenario.strays if fault.kind in MAKES_STRAYS else 0)
    if played.created > allowed:
        found.append(f"{played.created} Workflows were made for one run, expected at most {allowed}")
    reasons = calm.reasons | {(name, end[1]) for name in calm.ends for end in scenario.or_ends}
    if not played.reasons <= reasons:
        found.append(f"Events were posted that do not belong: {played.reasons - reasons}")
    return found


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Every fault is logged; nobody reads a hundred thousand lines."""
    logger = logging.getLogger("runwright")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


@pytest.mark.timeout(
    300
)  # The largest scenario has hundreds of cases: 15 s on an idle machine, several times that beside others.
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_fault_ends_as_no_fault_does(scenario: Scenario, record_property: Callable[[str, object], None]) -> None:
    calm = play(scenario, Fault())
    assert not calm.problems
    assert calm.ends[RUN] == scenario.ends
    assert calm.created <= scenario.creates
    assert calm.writes <= scenario.writes
    swept, wrong = 0, []
    for fault in faults_of(scenario, calm):
        swept += 1
        wrong += [f"{fault}: {what}" for what in faults_found(scenario, calm, fault, play(scenario, fault))]
    record_property("cases", swept)
    print(f"{scenario.name}: {len(calm.calls)} calls, {calm.deliveries} events, {calm.writes} writes, {swept} cases")
    assert not wrong, f"{len(wrong)} of {swept} cases:\n" + "\n".join(chain(wrong[:20]))
