"""Following one run: at each change, until it is deleted."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from runwright.kube import informer
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key, status_of
from runwright.kubectl.following import ATTEMPTS, cancel_tasks, follow_run
from runwright.kubectl.session import Session
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient

KEY = Key("team", "train")


def add_run(server: ApiServer, name: str = "train") -> None:
    server.create("PipelineRun", {"metadata": {"namespace": "team", "name": name}, "spec": {}})


async def test_the_run_is_yielded_as_it_is_and_at_each_change_until_its_deletion(server: ApiServer, here: Session):
    add_run(server, "another")
    add_run(server)
    phases: list[str] = []
    with pytest.raises(ApiError, match='"train" not found in namespace team'):
        async with asyncio.timeout(5), aclosing(follow_run(here, KEY)) as runs:
            async for run in runs:
                phases.append(status_of(run).get("phase", ""))
                if phases[-1] == "Succeeded":
                    server.remove("PipelineRun", "team", "train")
                else:
                    server.patch_status("PipelineRun", "team", "train", {"phase": "Succeeded"})
    assert phases == ["", "Succeeded"]


async def test_a_run_that_does_not_exist_is_an_error(here: Session):
    with pytest.raises(ApiError, match='"train" not found in namespace team'):
        await anext(follow_run(here, KEY))


async def test_an_api_server_that_stays_away_is_an_error(
    server: ApiServer, client: FakeClient, here: Session, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(informer, "BACKOFF", (0.0,))
    add_run(server)
    client.fail("watch pipelineruns", *[ApiError(503, "ServiceUnavailable", "away")] * ATTEMPTS)
    async with aclosing(follow_run(here, KEY)) as runs:
        await anext(runs)
        with pytest.raises(ApiError, match="away"):
            await anext(runs)


async def test_cancelled_tasks_have_ended():
    tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(2)]
    await cancel_tasks(*tasks)
    assert all(task.cancelled() for task in tasks)
