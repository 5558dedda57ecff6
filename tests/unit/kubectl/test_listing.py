"""`list`: columns, order, limit, formats, and the lines of `-w`."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from runwright.kube.errors import ApiError
from runwright.kubectl.listing import KnownRows, ListOptions, list_runs
from runwright.kubectl.session import Target
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient
from tests.unit.kubectl.conftest import event_at

Captured = pytest.CaptureFixture[str]


def add_run(server: ApiServer, name: str, phase: str = "", namespace: str = "team") -> None:
    server.create("PipelineRun", {"metadata": {"namespace": namespace, "name": name}, "spec": {}})
    if phase:
        server.patch_status("PipelineRun", namespace, name, {"phase": phase})


def row(name: str, version: str, *cells: str) -> dict[str, Any]:
    return {
        "cells": list(cells),
        "object": {"metadata": {"name": name, "namespace": "team", "uid": f"uid-{name}", "resourceVersion": version}},
    }


async def test_runs_are_printed_in_columns_and_other_namespaces_are_not(
    server: ApiServer, connected: FakeClient, capsys: Captured
):
    add_run(server, "train", "Running")
    add_run(server, "other", "Failed", "elsewhere")
    await list_runs(ListOptions(Target()))
    header, line = capsys.readouterr().out.splitlines()
    assert header.split()[0] == "PHASE" and line.split()[0] == "Running"


async def test_all_namespaces_have_a_column(server: ApiServer, connected: FakeClient, capsys: Captured):
    add_run(server, "a", "Running")
    add_run(server, "b", "Failed", "elsewhere")
    await list_runs(ListOptions(Target(all_namespaces=True)))
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["NAMESPACE", "team", "elsewhere"]


async def test_a_limit_keeps_the_newest_runs(server: ApiServer, connected: FakeClient, capsys: Captured):
    for name in ("a", "b", "c"):
        add_run(server, name)
    await list_runs(ListOptions(Target(), output="name", limit=2))
    assert capsys.readouterr().out.split() == ["pipelinerun.runwright.dev/c", "pipelinerun.runwright.dev/b"]
    await list_runs(ListOptions(Target(), output="json"))
    assert len(json.loads(capsys.readouterr().out)["items"]) == 3


async def test_an_empty_list_is_a_message_on_the_standard_error(connected: FakeClient, capsys: Captured):
    await list_runs(ListOptions(Target()))
    assert capsys.readouterr() == ("", "No runs found in namespace team.\n")


async def test_watching_prints_a_line_per_change_after_the_list(
    server: ApiServer, connected: FakeClient, capsys: Captured
):
    add_run(server, "first", "Running")
    watched = event_at(connected, "watch pipelineruns")
    watching = asyncio.create_task(list_runs(ListOptions(Target(), watch=True)))
    await watched.wait()
    assert len(capsys.readouterr().out.splitlines()) == 2
    server.patch_status("PipelineRun", "team", "first", {"phase": "Succeeded"})
    await asyncio.sleep(0.01)
    assert capsys.readouterr().out.split()[0] == "Succeeded"
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert connected.calls == ["list pipelineruns", "watch pipelineruns"]


async def test_watching_ends_with_the_error_where_the_api_server_refuses(connected: FakeClient):
    connected.fail("watch pipelineruns", ApiError(403, "Forbidden", "no"))
    with pytest.raises(ApiError, match="Forbidden"):
        await list_runs(ListOptions(Target(), watch=True))


def test_a_run_that_was_deleted_unseen_is_printed_with_its_last_cells():
    known = KnownRows([row("a", "1", "a", "Running"), row("b", "2", "b", "Failed")])
    (metadata,) = known.missing({"uid-b"}, "9")
    assert metadata["name"] == "a"
    assert known.apply({"object": {"metadata": metadata}}, deleted=True) == row("a", "1", "a", "Running")
    assert known.version("uid-a") is None


def test_a_changed_run_replaces_its_known_row():
    known = KnownRows([row("a", "1", "a", "Running")])
    assert known.apply(row("a", "2", "a", "Succeeded"), deleted=False) == row("a", "2", "a", "Succeeded")
    assert known.version("uid-a") == "2"
