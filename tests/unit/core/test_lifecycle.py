"""docs/lifecycle.md has a decision for every state and event, and `reconcile` decides the same."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from runwright.core.reconcile import reconcile
from tests.unit.core.lifecycle import EVENTS, STATES, Event, State, legend, outcomes, state_of, table
from tests.unit.core.strategies import NOW

PAGE = Path(__file__).resolve().parents[3] / "docs" / "lifecycle.md"

UNFINISHED = {"New", "Stalled", "Running", "Ending"}
FINISHED = {"Succeeded", "Failed", "Archiving", "Archived", "Unarchiving"}
CELLS = [(state, event) for state, event in product(STATES, EVENTS)]


def cells_of_the_page() -> dict[tuple[str, str], str]:
    lines = iter(PAGE.read_text(encoding="utf-8").splitlines())
    head = next(line for line in lines if line.startswith("|  | New |"))
    states = [cell.strip() for cell in head.strip("| ").split("|")]
    next(lines)
    found: dict[tuple[str, str], str] = {}
    for line in lines:
        if not line.startswith("| **"):
            break
        event, *row = [cell.strip() for cell in line.strip("|").split("|")]
        found |= {(state, event.strip("*")): cell for state, cell in zip(states, row, strict=True)}
    return found


@pytest.mark.parametrize(("state", "event"), CELLS, ids=[f"{state.name}-{event.name}" for state, event in CELLS])
def test_every_decision_is_the_one_on_the_page(state: State, event: Event) -> None:
    assert " / ".join(outcomes(state, event)) == cells_of_the_page()[state.name, event.name]


def test_the_page_is_whole() -> None:
    """`python -m tests.unit.core.lifecycle` prints what belongs there."""
    page = PAGE.read_text(encoding="utf-8")
    for part in (legend("state", STATES), legend("event", EVENTS), table()):
        assert part in page


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_every_run_of_a_state_is_in_it(state: State) -> None:
    runs = list(state.runs())
    assert runs
    assert {state_of(run) for run in runs} == {state.name}


def test_a_finished_run_runs_again_only_by_a_retry() -> None:
    for state, event in CELLS:
        after = {outcome.removeprefix("→ ") for outcome in outcomes(state, event) if outcome.startswith("→")}
        if state.name in FINISHED:
            assert not after & UNFINISHED, (state.name, event.name)


def test_an_unfinished_run_is_never_archived_or_deleted() -> None:
    for state, event in CELLS:
        if state.name in UNFINISHED and event.name != "second Workflow":
            assert not set(outcomes(state, event)) & {"Delete", "DeleteRun", "Label", "Keep"}, (state.name, event.name)


def test_a_workflow_is_created_only_if_none_exists() -> None:
    creating = {"Create", "Restart", "PutBack"}
    without = {"not in the cache", "no Workflow", "… and a snapshot", "… and no snapshot"}
    for state, event in CELLS:
        if event.name not in without:
            assert not set(outcomes(state, event)) & creating, (state.name, event.name)


def test_a_second_decision_after_the_write_writes_nothing() -> None:
    """Every status that is written is the last word on what was seen: nothing is written in turns."""
    for state, event in CELLS:
        for run in state.runs():
            for seen in event.seen(run):
                decision, after = reconcile(run, seen, NOW, terms=event.terms), run
                if decision.status is not None:
                    after = replace(run, status=decision.status)
                    decision = reconcile(after, seen, NOW, terms=event.terms)
                assert decision.status is None, (state.name, event.name)
