"""The collector reads each metrics artifact once, also when the object store fails."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from types import SimpleNamespace
from typing import cast

import pytest

from runwright.controller.cache import RunCache
from runwright.controller.collector import (
    AT_A_TIME,
    ATTEMPT_SECONDS,
    MAX_PROBLEMS,
    MAX_REPORTS,
    PATIENCE,
    Collector,
    joined,
)
from runwright.controller.lane import Lane
from runwright.core.decision import Memory
from runwright.core.metrics.collect import Collected
from runwright.core.metrics.reports import Report
from runwright.core.records import WorkflowRecord
from runwright.kube.client import Client
from runwright.kube.objects import Json, Key, key_of
from tests.unit.controller.bench import KEY, Bench, virtually
from tests.unit.fake.artifacts import FakeArtifactError
from tests.unit.fake.virtual_time import run_virtually
from tests.unit.fake.world import RUN, manifest

A, B = f"{RUN}.a", f"{RUN}.b"
FILE = b'{"metrics": [{"name": "accuracy", "numberValue": 0.93}]}'


async def measured(bench: Bench) -> None:
    """Create a run with an ended Workflow and with metrics of its nodes."""
    bench.world.apply(manifest("measured"))
    bench.deliver_run()
    await bench.reconcile()
    await bench.world.until(lambda: bench.world.argo_phase() == "Succeeded")
    bench.cache.drop_workflow(KEY)
    bench.deliver_run()


def metrics(bench: Bench) -> list[tuple[str, float]]:
    status = (bench.world.run() or {}).get("status", {})
    return sorted((metric["name"], metric["value"]) for metric in status.get("metrics", ()))


def problem(bench: Bench) -> str:
    conditions = (bench.world.run() or {})["status"]["conditions"]
    return next((c["message"] for c in conditions if c["type"] == "MetricsCollected"), "")


def test_metrics_are_written_with_the_end_of_the_run() -> None:
    async def test(bench: Bench) -> None:
        bench.world.artifacts.files[A] = FILE
        await measured(bench)
        while bench.world.phase() != "Succeeded":
            await bench.reconcile()
            await bench.wait(0.1)
        assert metrics(bench) == [("accuracy", 0.93), ("f1", 0.5)]
        assert problem(bench) == ""
        assert bench.world.artifacts.reads == {A: 1}
        assert KEY in bench.woken

    virtually(test)


def test_unreachable_object_store_is_read_again() -> None:
    async def test(bench: Bench) -> None:
        bench.world.artifacts.files[A] = FakeArtifactError("Unreachable", "no reply")
        await measured(bench)
        while bench.world.phase() != "Succeeded":
            await bench.reconcile()
            await bench.wait(0.1)
        assert metrics(bench) == [("f1", 0.5), ("late", 1)]

    virtually(test)


def test_object_store_without_a_reply_delays_the_end_by_the_time_limit() -> None:
    async def test(bench: Bench) -> None:
        bench.world.artifacts.seconds = 1000
        await measured(bench)
        began = bench.world.server_now()
        while bench.world.phase() != "Succeeded":
            await bench.reconcile()
            await bench.wait(0.5)
        assert PATIENCE <= (bench.world.server_now() - began).total_seconds() < PATIENCE + 3
        assert metrics(bench) == [("f1", 0.5)]
        assert "was not read within 30 s" in problem(bench)

    virtually(test)


def test_invalid_metrics_file_keeps_the_metrics_of_other_nodes() -> None:
    async def test(bench: Bench) -> None:
        bench.world.artifacts.files[A] = b"\xff\x00junk"
        await measured(bench)
        while bench.world.phase() != "Succeeded":
            await bench.reconcile()
            await bench.wait(0.1)
        assert metrics(bench) == [("f1", 0.5)]
        assert f"node {A}: the artifact mlpipeline-metrics is not JSON" in problem(bench)

    virtually(test)


def test_close_stops_pending_reads() -> None:
    async def test(bench: Bench) -> None:
        bench.world.artifacts.seconds = 1000
        await measured(bench)
        await bench.reconcile()
        await bench.wait(0.1)
        await bench.reconciler.collector.close()
        assert bench.cache.recall(KEY).collected.reports == ()
        assert Report(B, "f1", 0.5) not in bench.cache.recall(KEY).collected.reports

    virtually(test)


class Stores:
    """The object stores of several namespaces: some never reply."""

    def __init__(self, *silent: str) -> None:
        self.silent, self.reads = set(silent), Counter[str]()
        self.reading, self.most = 0, 0
        self.error: Exception | None = None
        self.seconds = 0.02

    async def read_small(self, workflow: Json, node_id: str, name: str, limit: int) -> bytes:
        namespace = key_of(workflow).namespace
        self.reads[namespace] += 1
        self.reading += 1
        self.most = max(self.most, self.reading)
        try:
            await asyncio.sleep(1000 if namespace in self.silent else self.seconds)
        finally:
            self.reading -= 1
        if self.error is not None:
            raise self.error
        return FILE


class Workflows:
    """Workflows with one metrics file each, whatever their name."""

    async def get(self, resource: object, key: Key) -> Json:
        outputs = {"artifacts": [{"name": "mlpipeline-metrics"}]}
        metadata = {"name": key.name, "namespace": key.namespace, "uid": key.name}
        return {"metadata": metadata, "status": {"nodes": {"n": {"outputs": outputs}}}}


class Tenants:
    """Runs of several namespaces whose metrics are read."""

    def __init__(self, stores: Stores) -> None:
        self.ended: dict[Key, float] = {}
        self.refused: list[str] = []
        self.end_of: defaultdict[Key, asyncio.Event] = defaultdict(asyncio.Event)
        self.cache = RunCache()
        self.collector = Collector(
            cast(Client, Workflows()), stores, self.cache, self._wake, Lane(), self.refused.append
        )

    def _wake(self, key: Key) -> None:
        self.ended[key] = asyncio.get_running_loop().time()
        self.end_of[key].set()

    def end(self, namespace: str, name: str) -> Key:
        key = Key(namespace, name)
        self.cache.remember(key, Memory())
        self.collector.begin(cast(WorkflowRecord, SimpleNamespace(key=key, uid=name)), frozenset({"n"}))
        return key

    def collected(self, key: Key) -> Collected:
        return self.cache.recall(key).collected


def test_a_silent_store_delays_no_other_namespace() -> None:
    """A thousand runs of six namespaces whose stores never reply: their neighbour's metrics are read at once."""

    async def main() -> None:
        bad = [f"bad-{number}" for number in range(6)]
        stores = Stores(*bad)
        tenants = Tenants(stores)
        for number in range(1000):
            tenants.end(bad[number % 6], f"run-{number}")
        await asyncio.sleep(0.1)
        took: list[float] = []
        for number in range(20):
            began = asyncio.get_running_loop().time()
            key = tenants.end("good", f"run-{number}")
            await tenants.end_of[key].wait()
            took.append(tenants.ended[key] - began)
            assert len(tenants.collected(key).reports) == 1
        assert max(took) < ATTEMPT_SECONDS + 0.5 and sorted(took)[-2] < 1
        await asyncio.sleep(PATIENCE + 5)
        assert len(tenants.ended) == 1020, "each run ends, whatever its store does"
        assert "was not read within 30 s" in tenants.collected(Key("bad-0", "run-0")).problems[0]
        assert stores.most <= 2 * AT_A_TIME
        assert sum(stores.reads[one] for one in bad) < 100, "a store that does not reply is seldom tried"

    run_virtually(main())


def test_a_store_that_replies_again_is_used_again() -> None:
    async def main() -> None:
        stores = Stores("a")
        tenants = Tenants(stores)
        keys = [tenants.end("a", f"run-{number}") for number in range(50)]
        await asyncio.sleep(10)
        stores.silent.clear()
        await asyncio.sleep(19)
        assert [len(tenants.collected(key).reports) for key in keys] == [1] * 50

    run_virtually(main())


def test_a_slow_store_is_used_also_after_it_was_silent() -> None:
    async def main() -> None:
        stores = Stores("a")
        tenants = Tenants(stores)
        keys = [tenants.end("a", "run-0")]
        await asyncio.sleep(15)
        stores.silent.clear()
        stores.seconds = 4.5
        keys += [tenants.end("a", f"run-{number}") for number in range(1, 9)]
        await asyncio.sleep(PATIENCE)
        assert [len(tenants.collected(key).reports) for key in keys] == [1] * 9

    run_virtually(main())


def test_a_refused_artifact_is_a_problem_of_the_run_and_counted() -> None:
    async def main() -> None:
        stores = Stores()
        stores.error = FakeArtifactError("Refused", "not among those that may be contacted")
        tenants = Tenants(stores)
        key = tenants.end("a", "run")
        await tenants.end_of[key].wait()
        assert "cannot be read: not among those" in tenants.collected(key).problems[0]
        assert (tenants.refused, stores.reads["a"]) == (["ArtifactRefused"], 1)

    run_virtually(main())


def test_what_is_kept_of_a_run_is_bounded() -> None:
    many = Collected(frozenset({"a"}), (Report("a", "b"),) * 400, ("problem",) * 40)
    found = joined(many, many)
    assert (len(found.reports), len(found.problems)) == (MAX_REPORTS, MAX_PROBLEMS)
    assert "the run has more than 256 metrics" in found.problems or "further problems were left out" in found.problems


def test_unexpected_error_counts_as_read_so_that_the_run_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(bench: Bench) -> None:
        attempts: list[WorkflowRecord] = []

        async def fail(workflow: WorkflowRecord, nodes: list[str], parts: list[Collected]) -> None:
            attempts.append(workflow)
            raise KeyError("outputs")

        monkeypatch.setattr(bench.reconciler.collector, "_attempt", fail)
        await measured(bench)
        async with asyncio.timeout(60):
            while bench.world.phase() != "Succeeded":
                await bench.reconcile()
                await bench.wait(0.1)
        assert len(attempts) == 1 and "the metrics cannot be read: KeyError" in problem(bench)

    virtually(test)
