"""Metrics are read beside the workers: each once, whatever the object store does."""

from __future__ import annotations

from runwright.controller.collector import PATIENCE
from runwright.core.metrics.reports import Report
from tests.unit.controller.bench import KEY, Bench, virtually
from tests.unit.fake.artifacts import FakeArtifactError
from tests.unit.fake.world import RUN, manifest

A, B = f"{RUN}.a", f"{RUN}.b"
FILE = b'{"metrics": [{"name": "accuracy", "numberValue": 0.93}]}'


async def measured(bench: Bench) -> None:
    """A run whose Workflow has ended, and whose nodes have left metrics."""
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


def test_they_are_in_the_status_with_which_the_run_ends() -> None:
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


def test_an_object_store_that_is_away_for_a_moment_is_asked_again() -> None:
    async def test(bench: Bench) -> None:
        bench.world.artifacts.files[A] = FakeArtifactError("Unreachable", "no reply")
        await measured(bench)
        while bench.world.phase() != "Succeeded":
            await bench.reconcile()
            await bench.wait(0.1)
        assert metrics(bench) == [("late", 1), ("f1", 0.5)]

    virtually(test)


def test_one_that_does_not_answer_holds_the_end_up_for_so_long_and_no_longer() -> None:
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


def test_what_is_no_metrics_file_hides_no_other_nodes_metrics() -> None:
    async def test(bench: Bench) -> None:
        bench.world.artifacts.files[A] = b"\xff\x00junk"
        await measured(bench)
        while bench.world.phase() != "Succeeded":
            await bench.reconcile()
            await bench.wait(0.1)
        assert metrics(bench) == [("f1", 0.5)]
        assert f"node {A}: the artifact mlpipeline-metrics is not JSON" in problem(bench)

    virtually(test)


def test_a_process_that_ends_waits_for_none() -> None:
    async def test(bench: Bench) -> None:
        bench.world.artifacts.seconds = 1000
        await measured(bench)
        await bench.reconcile()
        await bench.wait(0.1)
        await bench.reconciler.collector.close()
        assert bench.cache.recall(KEY).collected.reports == ()
        assert Report(B, "f1", 0.5) not in bench.cache.recall(KEY).collected.reports

    virtually(test)
