"""`terminate`, `retry`, `archive`, `unarchive`, `delete`: one line for each run, and one write for each edit."""

from __future__ import annotations

import pytest

from runwright.api.states import Shutdown
from runwright.core.edits import archive_edit, shutdown_edit
from runwright.kube.edit import ATTEMPTS
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.kubectl.editing import delete_runs, edit_run, edit_runs
from runwright.kubectl.selecting import Chosen
from runwright.kubectl.session import CommandError, Exit, Session, Target
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient

Captured = pytest.CaptureFixture[str]
KEY = Key("team", "train")
CONFLICT = ApiError(409, "Conflict", "changed")
TERMINATE = shutdown_edit(Shutdown.TERMINATE)


def add_run(server: ApiServer, name: str, phase: str) -> None:
    server.create("PipelineRun", {"metadata": {"namespace": "team", "name": name}, "spec": {}})
    server.patch_status("PipelineRun", "team", name, {"phase": phase})


async def test_each_run_is_edited_and_named(server: ApiServer, connected: FakeClient, capsys: Captured):
    add_run(server, "a", "Running")
    add_run(server, "b", "Running")
    await edit_runs(Chosen(Target(), ("a", "b")), TERMINATE)
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "pipelinerun.runwright.dev/a terminated",
        "pipelinerun.runwright.dev/b terminated",
    ]
    assert server.objects["PipelineRun", "team", "a"]["spec"] == {"shutdown": "Terminate"}


async def test_a_failed_edit_ends_with_1_after_all_runs(server: ApiServer, connected: FakeClient, capsys: Captured):
    add_run(server, "good", "Running")
    with pytest.raises(Exit) as end:
        await edit_runs(Chosen(Target(), ("absent", "good")), TERMINATE)
    assert end.value.code == 1
    printed = capsys.readouterr()
    assert printed.out == "pipelinerun.runwright.dev/good terminated\n"
    assert "not found in namespace team" in printed.err


async def test_a_refused_edit_makes_no_write(server: ApiServer, client: FakeClient, here: Session):
    add_run(server, "train", "Succeeded")
    with pytest.raises(CommandError, match=r"pipelinerun.runwright.dev/train: .*nothing left to terminate"):
        await edit_run(here, KEY, TERMINATE)
    assert client.calls == ["get pipelineruns"]


async def test_an_edit_is_decided_again_after_a_conflict(server: ApiServer, client: FakeClient, here: Session):
    add_run(server, "train", "Running")

    def finish(call: str) -> None:
        if call == "patch pipelineruns":
            client.before = lambda call: None
            server.patch_status("PipelineRun", "team", "train", {"phase": "Succeeded"})

    client.before = finish
    with pytest.raises(CommandError, match="ended as Succeeded"):
        await edit_run(here, KEY, TERMINATE)
    assert client.calls == ["get pipelineruns", "patch pipelineruns", "get pipelineruns"]


async def test_an_edit_gives_up_after_ten_conflicts(server: ApiServer, client: FakeClient, here: Session):
    add_run(server, "train", "Succeeded")
    client.fail("patch pipelineruns", *[CONFLICT] * ATTEMPTS)
    with pytest.raises(ApiError, match="Conflict"):
        await edit_run(here, KEY, archive_edit)
    assert client.calls.count("patch pipelineruns") == ATTEMPTS == 10


async def test_a_deletion_names_the_run_and_a_missing_run_is_an_error(
    server: ApiServer, connected: FakeClient, capsys: Captured
):
    add_run(server, "train", "Succeeded")
    with pytest.raises(Exit):
        await delete_runs(Chosen(Target(), ("train", "absent")), ignore_missing=False)
    assert capsys.readouterr().out == "pipelinerun.runwright.dev/train deleted\n"
    assert ("PipelineRun", "team", "train") not in server.objects


async def test_missing_runs_can_be_ignored(connected: FakeClient, capsys: Captured):
    await delete_runs(Chosen(Target(), ("absent",)), ignore_missing=True)
    assert capsys.readouterr() == ("", "")


async def test_a_run_that_was_recreated_is_not_deleted(server: ApiServer, connected: FakeClient, capsys: Captured):
    add_run(server, "train", "Succeeded")

    def recreate(call: str) -> None:
        if call == "delete pipelineruns":
            connected.before = lambda call: None
            server.remove("PipelineRun", "team", "train")
            add_run(server, "train", "Running")

    connected.before = recreate
    with pytest.raises(Exit):
        await delete_runs(Chosen(Target(), ("train",)), ignore_missing=False)
    assert ("PipelineRun", "team", "train") in server.objects
