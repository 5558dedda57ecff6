"""The collector reads each metrics artifact once, also when the object store fails."""

from __future__ import annotations

from runwright.controller.collector import PATIENCE
from runwright.core.metrics.reports import Report
from tests.unit.controller.bench import KEY, Bench, virtually
from tests.unit.fake.artifacts import FakeArtifactError
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
    return [(metric["name"], metric["value"]) for metric in status.get("metrics", ())]


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
        assert metrics(bench) == [("late", 1), ("f1", 0.5)]

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
