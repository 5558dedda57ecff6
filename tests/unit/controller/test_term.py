"""One term: its parts start together, and its metrics end with it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from prometheus_client import generate_latest

from runwright.controller.measures import Measures
from runwright.controller.term import Term, TermOptions
from runwright.kube.errors import ApiError
from runwright.kube.login import Login
from runwright.kube.objects import Key
from runwright.kube.supervise import Supervisor
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient
from tests.unit.fake.virtual_time import run_virtually

RUNS, WORKFLOWS = "/apis/runwright.dev/v1alpha1", "/apis/argoproj.io/v1alpha1"


def term(client: FakeClient, measures: Measures | None = None, **options: Any) -> Term:
    login = Login("http://127.0.0.1:1")
    return Term(cast(Any, client), TermOptions(**options), measures or Measures(), login, "runwright/1", Supervisor())


@pytest.fixture
def client() -> FakeClient:
    return FakeClient(ApiServer(lambda: datetime(2026, 11, 24, 12, tzinfo=UTC)))


@pytest.mark.parametrize(
    ("namespaces", "argo", "expected"),
    [
        ((), True, [f"{RUNS}/pipelineruns", f"{WORKFLOWS}/workflows"]),
        ((), False, [f"{RUNS}/pipelineruns"]),
        (("a", "b"), False, [f"{RUNS}/namespaces/a/pipelineruns", f"{RUNS}/namespaces/b/pipelineruns"]),
    ],
)
async def test_initial_lists_cover_served_kinds_in_each_namespace(
    client: FakeClient, namespaces: tuple[str, ...], argo: bool, expected: list[str]
):
    client.server.argo_installed = argo
    assert await term(client, namespaces=namespaces)._initial_lists() == expected


async def test_initial_lists_after_a_discovery_error_cover_all_kinds(client: FakeClient):
    client.fail("get discovery", ApiError(500, "InternalError", "no"))
    assert len(await term(client)._initial_lists()) == 2


async def test_close_unregisters_the_metrics(client: FakeClient):
    measures = Measures()
    first = term(client, measures)
    assert b"runwright_workqueue_depth" in generate_latest(measures.registry)
    first.close()
    assert b"runwright_workqueue_depth" not in generate_latest(measures.registry)
    term(client, measures).close()


async def test_run_ends_with_its_event_and_stops_its_tasks(client: FakeClient, monkeypatch: pytest.MonkeyPatch):
    one_term = term(client)

    async def watch(end: asyncio.Event, signalled: asyncio.Event) -> None:
        await end.wait()

    monkeypatch.setattr(one_term._watches, "run", watch)
    end = asyncio.Event()
    running = asyncio.create_task(one_term.run(end, end))
    await asyncio.sleep(0.05)
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert {"workers", "resync", "sweep"} <= names
    end.set()
    await asyncio.wait_for(running, 10)
    assert not {"workers", "resync", "sweep"} & {task.get_name() for task in asyncio.all_tasks()}


EVERY_ERROR = [
    ApiError(0, "Undecodable", "no JSON"),
    ValueError("no JSON"),
    KeyError("items"),
    AttributeError("'list' object has no attribute 'get'"),
    RecursionError("too deep"),
    MemoryError(),
    RuntimeError("coroutine raised StopIteration"),
    asyncio.CancelledError(),
]


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: type(error).__name__)
def test_no_error_of_a_request_ends_a_loop_of_the_term(error: BaseException, monkeypatch: pytest.MonkeyPatch):
    async def scene() -> None:
        client = FakeClient(ApiServer(lambda: datetime(2026, 11, 24, 12, tzinfo=UTC)))
        supervisor, reconciled = Supervisor(), list[Key]()
        one_term = Term(
            cast(Any, client), TermOptions(), Measures(), Login("http://127.0.0.1:1"), "runwright/1", supervisor
        )

        async def watch(end: asyncio.Event, signalled: asyncio.Event) -> None:
            await end.wait()

        async def reconcile(key: Key) -> float | None:
            reconciled.append(key)
            if failing:
                raise error
            return None

        monkeypatch.setattr(one_term._watches, "run", watch)
        monkeypatch.setattr(one_term, "_reconcile", reconcile)
        end, failing = asyncio.Event(), True
        client.fail("list pipelineruns", *[cast(Any, error)] * 40)
        running = asyncio.create_task(one_term.run(end, end))
        key = Key("team", "run")
        one_term._queue.add(key)
        await asyncio.sleep(60)
        assert {"resync", "sweep"} <= supervisor.down.keys() and not supervisor.ready and supervisor.alive
        failing = False
        client.failures.clear()
        before = len(reconciled)
        await asyncio.sleep(200)
        assert supervisor.down == {} and supervisor.ready and len(reconciled) > before
        end.set()
        await running
        one_term.close()

    run_virtually(scene())


def test_unknown_label_of_run_metrics_is_rejected(client: FakeClient):
    with pytest.raises(ValueError, match="colour"):
        term(client, run_metrics_labels=("colour",))
