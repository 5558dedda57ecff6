"""Scenarios of runs with metrics: under each fault, the final status has every metric once."""

from __future__ import annotations

from tests.unit.fake.artifacts import FakeArtifactError
from tests.unit.fake.scenario import SUCCEEDED, scenario
from tests.unit.fake.world import RUN, World, manifest

FILE = b'{"metrics": [{"name": "accuracy", "numberValue": 0.93, "format": "PERCENTAGE"}, {"name": "loss", "numberValue": 0.1}]}'


@scenario(SUCCEEDED, writes=6)
async def nodes_leave_metrics(w: World) -> None:
    w.artifacts.files[f"{RUN}.a"] = FILE
    w.apply(manifest("measured"))


@scenario(SUCCEEDED, writes=7, faults="crashes")
async def metrics_cannot_be_read(w: World) -> None:
    w.artifacts.files[f"{RUN}.a"] = FakeArtifactError("ObjectNotFound", "there is no such key")
    w.apply(manifest("measured"))


@scenario(SUCCEEDED, writes=6, faults="crashes")
async def object_store_is_away_for_a_moment(w: World) -> None:
    w.artifacts.files[f"{RUN}.a"] = FakeArtifactError("Unreachable", "no reply")
    w.apply(manifest("measured"))


@scenario(SUCCEEDED, writes=6, faults="crashes")
async def object_store_does_not_answer(w: World) -> None:
    w.artifacts.seconds = 100
    w.apply(manifest("measured"))
