"""Kopf is wired so that it watches what it should and writes nothing."""

from __future__ import annotations

from typing import Any

import kopf
import pytest
from kopf._cogs.structs.references import Resource

from runwright.core.records import Key
from runwright.handlers import NoDiffBase, operator_settings, watch_registry
from runwright.runtime.intake import Intake
from runwright.runtime.queue import WorkQueue
from runwright.runtime.store import Store

RUNS = Resource("runwright.dev", "v1alpha1", "pipelineruns", namespaced=True)
WORKFLOWS = Resource("argoproj.io", "v1alpha1", "workflows", namespaced=True)


def test_only_handlers_without_state_are_registered() -> None:
    registry = watch_registry(Intake(Store(), WorkQueue[Key]()))
    for resource in (RUNS, WORKFLOWS):
        assert registry._watching.has_handlers(resource=resource)
        assert not registry._changing.has_handlers(resource=resource)
        assert not registry._spawning.has_handlers(resource=resource)
        assert not registry._indexing.has_handlers(resource=resource)


@pytest.mark.parametrize("namespaced", [True, False])
def test_only_workflows_of_runs_are_asked_for(namespaced: bool) -> None:
    settings = operator_settings(namespaced=namespaced)
    assert settings.watching.label_selectors.collect(WORKFLOWS) == ["runwright.dev/run"]
    assert not settings.watching.label_selectors.collect(RUNS)
    assert settings.scanning.disabled is namespaced
    assert settings.posting.enabled is False
    assert settings.queueing.worker_limit is None


def test_kopf_keeps_no_copy_of_an_object() -> None:
    storage = NoDiffBase()
    body = kopf.Body({"metadata": {"annotations": {"kopf.zalando.org/last-handled-configuration": "{}"}}})
    assert storage.fetch(body=body) is None
    assert storage.build(body=body) == {}
    patch = kopf.Patch()
    storage.store(body=body, patch=patch, essence=kopf.BodyEssence({}))
    assert patch == {}


async def test_an_event_becomes_a_record_and_a_key() -> None:
    store, queue = Store(), WorkQueue[Key]()
    registry = watch_registry(Intake(store, queue))
    run: dict[str, Any] = {"metadata": {"namespace": "a", "name": "b", "uid": "u", "resourceVersion": "3"}}
    (handler,) = [
        h for h in registry._watching.get_all_handlers() if h.selector and h.selector.group == "runwright.dev"
    ]
    fn: Any = handler.fn
    await fn(event={"type": "ADDED", "object": run}, anything="else")
    assert await queue.get() == Key("a", "b")
    assert (kept := store.run(Key("a", "b"))) is not None
    assert kept.uid == "u"
