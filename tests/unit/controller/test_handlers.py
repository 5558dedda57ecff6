"""Kopf's handlers and settings: event handlers only, no writes."""

from __future__ import annotations

from typing import Any

import kopf
import pytest
from kopf._cogs.structs.references import Resource

from runwright.controller.handlers import NoDiffBase, operator_settings, watch_registry
from runwright.kube.objects import Key
from tests.unit.controller.bench import Bench
from tests.unit.fake.apiserver import selects

RUNS = Resource("runwright.dev", "v1alpha1", "pipelineruns", namespaced=True)
WORKFLOWS = Resource("argoproj.io", "v1alpha1", "workflows", namespaced=True)
POLICIES = Resource("runwright.dev", "v1alpha1", "retentionpolicies", namespaced=True)
SNAPSHOTS = Resource("runwright.dev", "v1alpha1", "workflowsnapshots", namespaced=True)


async def test_registry_has_event_handlers_only() -> None:
    registry = watch_registry(Bench().intake)
    for resource in (RUNS, WORKFLOWS, POLICIES):
        assert registry._watching.has_handlers(resource=resource)
        assert not registry._changing.has_handlers(resource=resource)
        assert not registry._spawning.has_handlers(resource=resource)
        assert not registry._indexing.has_handlers(resource=resource)


async def test_registry_does_not_watch_snapshots() -> None:
    assert not watch_registry(Bench().intake)._watching.has_handlers(resource=SNAPSHOTS)


@pytest.mark.parametrize("namespaced", [True, False])
def test_settings_select_available_runs_and_their_workflows(namespaced: bool) -> None:
    settings = operator_settings(namespaced=namespaced)
    assert settings.watching.label_selectors.collect(WORKFLOWS) == ["runwright.dev/run"]
    (of_runs,) = settings.watching.label_selectors.collect(RUNS)
    assert not selects(of_runs, {"runwright.dev/storage-state": "Archived"})
    assert selects(of_runs, {"runwright.dev/storage-state": "Available"}) and selects(of_runs, {})
    assert not settings.watching.label_selectors.collect(POLICIES)
    assert settings.scanning.disabled is namespaced
    assert settings.posting.enabled is False
    assert settings.queueing.worker_limit is None


def test_no_diff_base_stores_nothing() -> None:
    storage = NoDiffBase()
    body = kopf.Body({"metadata": {"annotations": {"kopf.zalando.org/last-handled-configuration": "{}"}}})
    assert storage.fetch(body=body) is None
    assert storage.build(body=body) == {}
    patch = kopf.Patch()
    storage.store(body=body, patch=patch, essence=kopf.BodyEssence({}))
    assert patch == {}


def handler_of(bench: Bench, plural: str) -> Any:
    (handler,) = [
        handler
        for handler in watch_registry(bench.intake)._watching.get_all_handlers()
        if handler.selector and handler.selector.any_name == plural
    ]
    return handler.fn


async def test_run_event_is_cached_and_enqueued() -> None:
    bench = Bench()
    run: dict[str, Any] = {"metadata": {"namespace": "a", "name": "b", "uid": "u", "resourceVersion": "3"}}
    await handler_of(bench, "pipelineruns")(event={"type": "ADDED", "object": run}, anything="else")
    assert await bench.queue.get() == Key("a", "b")
    assert (kept := bench.cache.run(Key("a", "b"))) is not None
    assert kept.uid == "u"


async def test_workflow_event_is_cached() -> None:
    bench = Bench()
    workflow: dict[str, Any] = {"metadata": {"namespace": "a", "name": "b", "uid": "w", "resourceVersion": "3"}}
    await handler_of(bench, "workflows")(event={"type": "ADDED", "object": workflow}, anything="else")
    assert bench.cache.has_workflow(Key("a", "b"))


async def test_policy_event_replaces_the_policy() -> None:
    bench = Bench()
    policy: dict[str, Any] = {"metadata": {"namespace": "a", "name": "default"}, "spec": {"deleteAfter": "7d"}}
    await handler_of(bench, "retentionpolicies")(event={"type": None, "object": policy}, anything="else")
    assert (await bench.policies.of("a")).delete_after == "7d"
    assert bench.calls() == {}
