"""Kopf's part: the watch streams. `controller.intake` handles the events.

Only event handlers are registered, so Kopf (1.45.2) writes to no object: no annotation, no finalizer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import kopf
from typing_extensions import override

from runwright.api.labels import AVAILABLE_RUNS
from runwright.api.resources import PIPELINE_RUNS, RETENTION_POLICIES, WORKFLOWS
from runwright.controller.intake import Intake
from runwright.core.shard import EVERYTHING, Shard
from runwright.kube.client import PAGE
from runwright.kube.resource import Resource


class NoDiffBase(kopf.DiffBaseStorage):
    """Kopf's memory of what it last handled, switched off.

    Kopf (1.45.2) copies the whole object for it on every event, though only state-keeping handlers need it.
    """

    @override
    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    @override
    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return None

    @override
    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        return None


def operator_settings(namespaced: bool, shard: Shard = EVERYTHING) -> kopf.OperatorSettings:
    """Kopf's settings. docs/decisions has the reasons for the figures."""
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.posting.enabled = False
    settings.peering.standalone = True
    # Namespaced, the operator has no right to list namespaces and CRDs; they must be there when it starts.
    settings.scanning.disabled = namespaced
    settings.watching.chunk_size = PAGE
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.label_selectors[WORKFLOWS.group, WORKFLOWS.plural] = shard.workflow_selector
    settings.watching.label_selectors[PIPELINE_RUNS.group, PIPELINE_RUNS.plural] = shard.run_selector(AVAILABLE_RUNS)
    # A worker of Kopf's holds its place for idle_timeout: a limit on them would be one on objects a second.
    settings.queueing.worker_limit = None
    settings.queueing.idle_timeout = 0.5
    settings.queueing.exit_timeout = 5
    settings.networking.request_timeout = 20
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = (0.2, 0.5, 1, 2)
    return settings


def watch_registry(intake: Intake) -> kopf.OperatorRegistry:
    """The handlers of the watch streams."""
    registry = kopf.OperatorRegistry()

    @kopf.on.startup(registry=registry)
    async def started(**_: Any) -> None:
        # The last Kopf has ended, and hands over nothing more.
        intake.arrivals.clear()

    def on_event(resource: Resource) -> Any:
        return kopf.on.event(resource.group, resource.version, resource.plural, registry=registry)

    @on_event(PIPELINE_RUNS)
    async def pipelinerun_event(event: kopf.RawEvent, **_: Any) -> None:
        intake.pipelinerun(event["type"], event["object"])

    @on_event(WORKFLOWS)
    async def workflow_event(event: kopf.RawEvent, **_: Any) -> None:
        intake.workflow(event["type"], event["object"])

    @on_event(RETENTION_POLICIES)
    async def policy_event(event: kopf.RawEvent, **_: Any) -> None:
        intake.policy(event["type"], event["object"])

    return registry
