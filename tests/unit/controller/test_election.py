"""Of several candidates one acts, also if some die, sleep or cannot reach the API server, and if replies are late."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from runwright.controller.election import LEASE_SECONDS, Election
from runwright.kube.client import Form, WatchEvent
from runwright.kube.errors import ApiError
from runwright.kube.fence import Fence
from runwright.kube.objects import Json, Key
from runwright.kube.resource import LEASES, Resource, Selection
from runwright.kube.supervise import Supervisor
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient
from tests.unit.fake.virtual_time import run_virtually

KEY = Key("system", "operator")


class Shared:
    """The stored Lease."""

    def __init__(self) -> None:
        self.body: Json | None = None
        self.version = 0
        self.writes = 0
        self.changed = asyncio.Condition()

    async def write(self, body: Json | None) -> Json | None:
        async with self.changed:
            self.version += 1
            self.writes += 1
            if body is not None:
                body = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
            self.body = body
            self.changed.notify_all()
        return body


class Door(FakeClient):
    """One candidate's client of the Lease: slow, frozen, or shut."""

    def __init__(self, shared: Shared, chance: random.Random | None = None) -> None:
        super().__init__(ApiServer(Clock().now))
        self.shared = shared
        self.chance = chance
        self.shut = False
        self.frozen = asyncio.Event()
        self.frozen.set()
        self.watches = 0

    async def pass_through(self) -> None:
        await self.frozen.wait()
        if self.chance:
            await asyncio.sleep(self.chance.choice((0.001, 0.05, 0.3, 1.0)))
            await self.frozen.wait()
        if self.shut:
            raise ApiError(0, "Unreachable", "no reply")

    @override
    async def get(self, resource: Resource, key: Key) -> Json | None:
        await self.pass_through()
        body = self.shared.body
        await self.pass_through()
        return body

    @override
    async def create(self, resource: Resource, body: Json, *, dry_run: bool = False, strict: bool = False) -> Json:
        await self.pass_through()
        if self.shared.body is not None:
            raise ApiError(409, "AlreadyExists", "there is one")
        written = await self.shared.write(body)
        await self.pass_through()
        assert written
        return written

    @override
    async def replace(self, resource: Resource, body: Json) -> Json | None:
        await self.pass_through()
        there = self.shared.body
        if there is None:
            return None
        if there["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "it has changed")
        written = await self.shared.write(body)
        await self.pass_through()
        assert written
        return written

    @override
    async def watch(
        self, resource: Resource, selection: Selection, since: str, *, form: Form = Form.OBJECTS
    ) -> AsyncGenerator[WatchEvent]:
        assert (resource, selection) == (LEASES, Selection.of(KEY))
        self.watches += 1
        await self.pass_through()
        yield WatchEvent("OPENED", {})
        known = int(since)
        while True:
            async with self.shared.changed:
                while self.shared.version <= known:
                    await self.shared.changed.wait()
                known, body = self.shared.version, self.shared.body
            await self.pass_through()
            yield WatchEvent("MODIFIED", body) if body is not None else WatchEvent("DELETED", {})


class Clock:
    def now(self) -> datetime:
        return datetime(2026, 11, 26, tzinfo=UTC)


class Candidate:
    """A process: it wins, holds, and competes again after a loss."""

    def __init__(
        self, name: str, shared: Shared, chance: random.Random | None = None, fence: Fence | None = None
    ) -> None:
        self.door = Door(shared, chance)
        self.fence = fence or Fence(clock=asyncio.get_running_loop().time)
        self.supervisor = Supervisor()
        self.election = Election(self.door, KEY, name, Clock(), self.fence, self.supervisor)
        self.terms = 0
        self.won = asyncio.Event()
        self.task = asyncio.create_task(self.live())

    async def live(self) -> None:
        while True:
            await self.election.win()
            self.terms += 1
            self.won.set()
            lost = asyncio.Event()
            async with self.supervisor.group() as loops:
                self.election.hold(loops, lost)
                await lost.wait()
            self.won.clear()

    async def die(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


def test_second_candidate_waits_while_the_first_leads():
    async def scene() -> None:
        shared = Shared()
        first = Candidate("a", shared)
        await first.won.wait()
        second = Candidate("b", shared)
        writes = shared.writes
        await asyncio.sleep(60)
        assert first.fence.open
        assert not second.fence.open
        assert 28 <= shared.writes - writes <= 31  # once in two seconds
        assert second.door.watches == 1

    run_virtually(scene())


def test_watch_that_is_closed_at_once_costs_few_requests(monkeypatch: pytest.MonkeyPatch):
    async def closed(*_: object, **__: object) -> AsyncGenerator[WatchEvent]:
        yield WatchEvent("OPENED", {})

    async def scene() -> None:
        shared = Shared()
        first = Candidate("a", shared)
        await first.won.wait()
        second = Candidate("b", shared)
        gets: list[object] = []

        async def get(resource: Resource, key: Key) -> Json | None:
            gets.append(key)
            return shared.body

        monkeypatch.setattr(second.door, "watch", closed)
        monkeypatch.setattr(second.door, "get", get)
        await asyncio.sleep(60)
        assert 20 < len(gets) < 130 and not second.fence.open

    run_virtually(scene())


@pytest.mark.parametrize(
    "error", [ValueError("no JSON"), RecursionError(), KeyError("x"), MemoryError(), asyncio.CancelledError()]
)
def test_holder_that_cannot_renew_loses_the_fence_before_another_leads_and_competes_again(error: BaseException):
    async def scene() -> None:
        shared = Shared()
        first = Candidate("a", shared)
        await first.won.wait()
        second, replace, failing = Candidate("b", shared), first.door.replace, True

        async def fail(resource: Resource, body: Json) -> Json | None:
            if failing:
                raise error
            return await replace(resource, body)

        first.door.replace = fail
        while not second.fence.open:
            await asyncio.sleep(0.05)
            assert not (first.fence.open and second.fence.open)
        assert not first.fence.open and "lease" in first.supervisor.down
        failing = False
        await asyncio.sleep(10)
        assert first.supervisor.down == {}, "it stands by"
        await second.die()
        await second.election.release()
        await asyncio.sleep(5)
        assert first.fence.open and first.terms == 2

    run_virtually(scene())


def test_dead_leader_is_replaced_after_its_lease_expires():
    async def scene() -> None:
        shared, loop = Shared(), asyncio.get_running_loop()
        first = Candidate("a", shared)
        await first.won.wait()
        second = Candidate("b", shared)
        await asyncio.sleep(31)
        await first.die()
        died = loop.time()
        await second.won.wait()
        assert LEASE_SECONDS - 2.1 <= loop.time() - died <= LEASE_SECONDS + 0.1

    run_virtually(scene())


def test_released_lease_is_taken_at_once():
    async def scene() -> None:
        shared, loop = Shared(), asyncio.get_running_loop()
        first = Candidate("a", shared)
        await first.won.wait()
        second = Candidate("b", shared)
        await asyncio.sleep(7)
        await first.die()
        await first.election.release()
        released = loop.time()
        assert not first.fence.open
        await second.won.wait()
        assert loop.time() - released < 0.01

    run_virtually(scene())


@pytest.mark.parametrize("lost", ["reply", "request"])
def test_release_works_after_an_interrupted_renewal(lost: str):
    async def scene() -> None:
        shared = Shared()
        first = Candidate("a", shared)
        await first.won.wait()
        if lost == "reply":
            assert shared.body
            await shared.write(shared.body)
        await first.die()
        await first.election.release()
        assert shared.body
        assert shared.body["spec"]["holderIdentity"] == ""

    run_virtually(scene())


def test_release_keeps_the_lease_of_another_holder():
    async def scene() -> None:
        shared = Shared()
        first = Candidate("a", shared)
        await first.won.wait()
        second = Candidate("b", shared)
        await asyncio.sleep(1)
        first.door.shut = True
        await second.won.wait()
        first.door.shut = False
        await first.die()
        await first.election.release()
        assert shared.body
        assert shared.body["spec"]["holderIdentity"] == "b"

    run_virtually(scene())


def test_paused_leader_writes_nothing_after_it_resumes():
    async def scene() -> None:
        shared = Shared()
        first = Candidate("a", shared)
        await first.won.wait()
        second = Candidate("b", shared)
        await asyncio.sleep(3)
        first.door.frozen.clear()
        await asyncio.sleep(8)
        assert not first.fence.open
        with pytest.raises(ApiError, match="not renewed in time"):
            first.fence.check()
        await second.won.wait()
        first.door.frozen.set()
        await asyncio.sleep(30)
        assert not first.fence.open
        assert second.fence.open
        assert (first.terms, second.terms) == (1, 1)

    run_virtually(scene())


def test_api_server_outage_without_a_successor_ends_no_term():
    async def scene() -> None:
        shared = Shared()
        only = Candidate("a", shared)
        await only.won.wait()
        only.door.shut = True
        await asyncio.sleep(600)
        assert not only.fence.open
        only.door.shut = False
        await asyncio.sleep(3)
        assert only.fence.open
        assert only.terms == 1

    run_virtually(scene())


def test_deleted_lease_ends_the_term():
    async def scene() -> None:
        shared = Shared()
        first = Candidate("a", shared)
        await first.won.wait()
        await shared.write(None)
        await asyncio.sleep(5)
        assert first.terms == 2
        assert first.fence.open

    run_virtually(scene())


def test_label_edit_of_the_lease_ends_no_term():
    async def scene() -> None:
        shared = Shared()
        first = Candidate("a", shared)
        await first.won.wait()
        assert shared.body
        await shared.write({**shared.body, "metadata": {**shared.body["metadata"], "labels": {"seen": "yes"}}})
        await asyncio.sleep(30)
        assert first.terms == 1
        assert shared.body
        assert shared.body["metadata"]["labels"] == {"seen": "yes"}

    run_virtually(scene())


class ExclusiveFence(Fence):
    """A fence that reports when it is opened while another one is open."""

    def __init__(self, fences: list[Fence]) -> None:
        super().__init__(clock=asyncio.get_running_loop().time)
        self._fences = fences
        fences.append(self)

    @override
    def open_until(self, until: float) -> None:
        super().open_until(until)
        if sum(one.open for one in self._fences) > 1:
            self._fences.append(OVERLAP)


OVERLAP = Fence()
"""Marks in the list of fences that two were open at once."""


class FaultyElection:
    """Three candidates with random faults."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.shared = Shared()
        self.fences: list[Fence] = []
        self.count = 0
        self.candidates = [self.newcomer() for _ in range(3)]

    def newcomer(self) -> Candidate:
        self.count += 1
        return Candidate(f"c{self.count}", self.shared, self.chance, ExclusiveFence(self.fences))

    async def apply_fault(self, number: int, what: str) -> None:
        one = self.candidates[number]
        if what in ("freeze", "thaw"):
            (one.door.frozen.clear if what == "freeze" else one.door.frozen.set)()
        elif what in ("shut", "open"):
            one.door.shut = what == "shut"
        elif what in ("kill", "release"):
            one.door.frozen.set()
            await one.die()
            if what == "release":
                await one.election.release()
            self.candidates[number] = self.newcomer()

    async def ends_with_a_leader(self) -> bool:
        """End the faults. Returns whether one candidate leads after them."""
        for one in self.candidates:
            one.door.frozen.set()
            one.door.shut = False
        for _ in range(40):
            await asyncio.sleep(LEASE_SECONDS / 4)
            if any(one.fence.open for one in self.candidates):
                return True
        return False


@given(
    seed=st.integers(0, 2**32),
    steps=st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from(["freeze", "thaw", "shut", "open", "kill", "release"]),
            st.floats(0.01, 20),
        ),
        max_size=25,
    ),
)
@settings(max_examples=100, deadline=None)
def test_at_most_one_candidate_leads_and_one_leads_at_the_end(seed: int, steps: list[tuple[int, str, float]]):
    """With random faults, at most one of three candidates may write; one does after the faults."""

    async def scene() -> None:
        faulty = FaultyElection(seed)
        for number, what, pause in steps:
            await faulty.apply_fault(number, what)
            await asyncio.sleep(pause)
        assert await faulty.ends_with_a_leader()
        assert OVERLAP not in faulty.fences

    run_virtually(scene())
