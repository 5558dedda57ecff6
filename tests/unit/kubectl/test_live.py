"""A run that is followed: a redrawn tree on a terminal, lines elsewhere."""

from __future__ import annotations

import asyncio
import io
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from runwright.api.pipelinerun import NodeStatus
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.kubectl import live
from runwright.kubectl.live import Journal, Screen, open_view, watch_run
from runwright.kubectl.session import Session
from runwright.kubectl.tree import Tree, tree_of_status
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient
from tests.unit.kubectl.conftest import event_at

KEY = Key("team", "train")
NOW = datetime(2026, 11, 26, 12, 0, 30, tzinfo=UTC)
ERASURE = re.compile(r"\r((?:\x1b\[2K|\x1b\[1A)+)")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def attach_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """A function that makes the standard output a terminal; call it in the test: pytest sets its own at each phase."""

    def attach() -> Terminal:
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("LINES", "12")
        return terminal

    return attach


def run(phase: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "team", "name": "train"}, "status": {"phase": phase, **status}}


def tree(*phases: str) -> Tree:
    nodes = [
        NodeStatus(id=f"train-{at}", name=f"step-{at}", type="Pod", phase=phase) for at, phase in enumerate(phases)
    ]
    return tree_of_status("train", nodes, 0)


# --------------------------------------------------------------------------------------------------------------- views
def test_each_frame_on_a_terminal_replaces_the_one_before(attach_terminal: Callable[[], Terminal]):
    terminal = attach_terminal()
    with open_view(KEY) as view:
        view.show(run("Running"), tree("Running", "Pending"), NOW)
        view.show(run("Running"), tree("Succeeded", *["Running"] * 20), NOW)
        view.show(run("Succeeded"), tree("Succeeded", "Succeeded"), NOW)
    frames = ERASURE.split(terminal.getvalue())[::2]
    assert len(frames) == 4, "the last frame is drawn once more before it is erased"
    for frame, erasure in zip(frames, ERASURE.findall(terminal.getvalue()), strict=False):
        assert erasure.count("\x1b[1A") == frame.count("\n") <= 12
    assert "more nodes" in frames[1]
    assert re.search(r"^└─ step-1 +Succeeded", frames[3], re.MULTILINE)
    assert "CONDITION" in frames[3]


def test_the_cursor_is_shown_again_after_an_error(attach_terminal: Callable[[], Terminal]):
    terminal = attach_terminal()
    with pytest.raises(KeyboardInterrupt), open_view(KEY) as view:
        view.show(run("Running"), tree("Running"), NOW)
        raise KeyboardInterrupt
    assert terminal.getvalue().rindex("\x1b[?25h") > terminal.getvalue().rindex("\x1b[?25l")


@pytest.mark.parametrize(("name", "expected"), [("xterm", Screen), ("dumb", Journal), (None, Journal)])
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(
    name: str | None, expected: type, attach_terminal: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch
):
    attach_terminal()
    monkeypatch.delenv("TERM")
    if name is not None:
        monkeypatch.setenv("TERM", name)
    assert type(open_view(KEY)) is expected


def test_only_changes_are_printed_into_a_pipe(capsys: pytest.CaptureFixture[str]):
    with open_view(KEY) as view:
        view.show(run(""), tree(), NOW)
        view.show(run("Running", progress="0/2"), tree("Running", "Pending"), NOW)
        view.show(run("Running", progress="0/2"), tree("Running", "Pending"), NOW)
        view.show(run("Running", progress="1/2"), tree("Succeeded", "Pending"), NOW)
    assert capsys.readouterr().out.splitlines() == [
        "pipelinerun.runwright.dev/train  none yet",
        "pipelinerun.runwright.dev/train  Running  0/2",
        "  step-0  Running",
        "  step-1  Pending",
        "pipelinerun.runwright.dev/train  Running  1/2",
        "  step-0  Succeeded",
    ]


# ----------------------------------------------------------------------------------------------------------- following
async def test_a_followed_run_is_returned_when_it_has_ended(server: ApiServer, client: FakeClient, here: Session):
    server.create("PipelineRun", {"metadata": {"namespace": "team", "name": "train"}, "spec": {}})
    watched = event_at(client, "watch pipelineruns")
    following = asyncio.create_task(watch_run(here, KEY, brief=True))
    await watched.wait()
    server.patch_status("PipelineRun", "team", "train", {"phase": "Failed"})
    async with asyncio.timeout(5):
        assert (await following)["status"]["phase"] == "Failed"


async def test_durations_are_redrawn_without_a_request(
    server: ApiServer, client: FakeClient, here: Session, monkeypatch: pytest.MonkeyPatch
):
    server.create("PipelineRun", {"metadata": {"namespace": "team", "name": "train"}, "spec": {}})
    monkeypatch.setattr(live, "REDRAW_SECONDS", 0.001)
    shown = asyncio.Event()
    times: list[datetime] = []

    def show(self: Journal, run: object, tree: object, now: datetime) -> None:
        times.append(now)
        if len(times) == 3:
            shown.set()

    monkeypatch.setattr(Journal, "show", show)
    following = asyncio.create_task(watch_run(here, KEY, brief=True))
    async with asyncio.timeout(5):
        await shown.wait()
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    assert client.calls == ["list pipelineruns", "watch pipelineruns"]


async def test_an_error_while_nodes_are_read_ends_the_view(server: ApiServer, client: FakeClient, here: Session):
    server.create("PipelineRun", {"metadata": {"namespace": "team", "name": "train"}, "spec": {}})
    client.fail("get workflows", ApiError(500, "InternalError", "no"))
    with pytest.raises(ApiError, match="InternalError"):
        await watch_run(here, KEY)
