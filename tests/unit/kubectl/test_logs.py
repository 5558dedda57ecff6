"""`logs`: which pods and nodes have logs, lines with the node before them, and following until the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.kube.objects import Key
from runwright.kubectl.logs import LineCutter, LogOptions, archived_nodes, print_logs, read_pod
from runwright.kubectl.session import CommandError, Exit, Target
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient
from tests.unit.kubectl.conftest import event_at

RUN = "train"
Captured = pytest.CaptureFixture[str]


def pod(path: str, *states: tuple[str, str]) -> dict[str, Any]:
    statuses = [{"name": name, "state": {state: {}}} for name, state in states]
    return {
        "metadata": {
            "name": "train-fit-7",
            "namespace": "team",
            "labels": {"workflows.argoproj.io/workflow": RUN},
            "annotations": {"workflows.argoproj.io/node-id": "train-7", "workflows.argoproj.io/node-name": path},
        },
        "status": {"containerStatuses": statuses},
    }


def test_a_pod_has_the_path_of_its_node_as_label():
    assert read_pod(pod("train.fit(0)"), "main").label == "fit(0)"
    assert read_pod(pod("train[0].fit"), "main").label == "[0].fit"
    assert read_pod(pod("train"), "main").label == "train"
    assert read_pod({"metadata": {"name": "other"}}, "main").label == "other"


def test_a_container_has_a_log_once_it_has_started():
    assert not read_pod(pod("train", ("main", "waiting")), "main").ready
    assert read_pod(pod("train", ("main", "running")), "main").ready
    assert read_pod(pod("train", ("wait", "running"), ("main", "terminated")), "main").ready
    assert not read_pod(pod("train", ("wait", "running")), "main").ready
    assert read_pod(pod("train", ("wait", "running")), "wait").ready


def test_archived_logs_are_those_of_nodes_without_a_pod():
    kept = {"artifacts": [{"name": "main-logs"}]}
    nodes = {
        "train": {"type": "DAG", "outputs": kept},
        "train-1": {"type": "Pod", "displayName": "late", "startedAt": "2026-11-26T12:00:09Z", "outputs": kept},
        "train-2": {"type": "Pod", "displayName": "early", "startedAt": "2026-11-26T12:00:01Z", "outputs": kept},
        "train-3": {"type": "Pod", "displayName": "there", "outputs": kept},
        "train-4": {"type": "Pod", "displayName": "none", "outputs": {"artifacts": [{"name": "model"}]}},
    }
    assert archived_nodes({"status": {"nodes": nodes}}, ["train-3"]) == [("train-2", "early"), ("train-1", "late")]


@given(st.lists(st.binary(max_size=30)), st.binary(max_size=5).filter(lambda prefix: b"\n" not in prefix))
def test_lines_are_complete_for_any_pieces(pieces: list[bytes], prefix: bytes):
    cutter = LineCutter(prefix)
    found = b"".join(cutter.add(piece) for piece in pieces) + cutter.end()
    whole = b"".join(pieces)
    lines = whole.split(b"\n")
    if not lines[-1]:
        lines.pop()
    assert found == b"".join(prefix + line + b"\n" for line in lines)


def test_a_line_without_an_end_is_broken():
    cutter = LineCutter(b"")
    assert sum(len(cutter.add(b"x" * 10_000)) for _ in range(100)) > 900_000


# --------------------------------------------------------------------------------------------------------- the command
@pytest.fixture
def run(server: ApiServer) -> None:
    server.create("PipelineRun", {"metadata": {"namespace": "team", "name": RUN}, "spec": {}})
    server.patch_status("PipelineRun", "team", RUN, {"phase": "Running"})


def add_pod(
    server: ApiServer, client: FakeClient, name: str, path: str, log: bytes | None, state: str = "running"
) -> None:
    body = pod(path, ("main", state))
    server.create("Pod", {**body, "metadata": {**body["metadata"], "name": name}})
    if log is not None:
        client.pod_logs[Key("team", name), "main"] = log


async def test_the_logs_of_all_started_pods_are_printed(
    run: None, server: ApiServer, connected: FakeClient, capfd: Captured
):
    add_pod(server, connected, "a", "train.prepare", b"one\ntwo")
    add_pod(server, connected, "b", "train.fit", b"three\n")
    add_pod(server, connected, "c", "train.waits", None, "waiting")
    await print_logs(LogOptions(Target(), RUN))
    assert capfd.readouterr().out.splitlines() == ["[prepare] one", "[prepare] two", "[fit] three"]


async def test_logs_are_printed_without_a_prefix(run: None, server: ApiServer, connected: FakeClient, capfd: Captured):
    add_pod(server, connected, "a", "train.prepare", b"one\n")
    await print_logs(LogOptions(Target(), RUN, prefix=False, tail=1, timestamps=True))
    assert capfd.readouterr().out == "one\n"


async def test_one_unreadable_log_is_an_error_after_the_others(
    run: None, server: ApiServer, connected: FakeClient, capfd: Captured
):
    add_pod(server, connected, "a", "train.prepare", None)
    add_pod(server, connected, "b", "train.fit", b"three\n")
    with pytest.raises(Exit):
        await print_logs(LogOptions(Target(), RUN))
    printed = capfd.readouterr()
    assert printed.out == "[fit] three\n"
    assert printed.err.startswith("runwright: pod a: NotFound")


async def test_a_run_without_pods_is_an_error(run: None, connected: FakeClient):
    with pytest.raises(CommandError, match=r"^run train: it has no pods$"):
        await print_logs(LogOptions(Target(), RUN))


async def test_an_ended_run_without_logs_is_an_error_that_names_archive_logs(
    run: None, server: ApiServer, connected: FakeClient
):
    server.patch_status("PipelineRun", "team", RUN, {"phase": "Succeeded"})
    with pytest.raises(CommandError, match=r"it has no pods and no archived logs \(archiveLogs\)"):
        await print_logs(LogOptions(Target(), RUN))


async def test_a_container_that_has_not_started_is_an_error(run: None, server: ApiServer, connected: FakeClient):
    add_pod(server, connected, "a", "train.prepare", None)
    with pytest.raises(CommandError, match="container 'init' has not started in any of its 1 pods"):
        await print_logs(LogOptions(Target(), RUN, container="init"))


async def test_following_prints_the_logs_of_later_pods_and_ends_with_the_run(
    run: None, server: ApiServer, connected: FakeClient, capfd: Captured
):
    add_pod(server, connected, "a", "train.prepare", b"one\n")
    watched = event_at(connected, "watch pods")
    following = asyncio.create_task(print_logs(LogOptions(Target(), RUN, follow=True)))
    await watched.wait()
    add_pod(server, connected, "b", "train.fit", b"two\n")
    server.patch_status("PipelineRun", "team", RUN, {"phase": "Succeeded"})
    async with asyncio.timeout(5):
        await following
    assert capfd.readouterr().out.splitlines() == ["[prepare] one", "[fit] two"]
