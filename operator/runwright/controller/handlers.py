"""Kopf's part: the watch streams. `controller.intake` handles the events.

Only event handlers are registered, so Kopf (1.45.2) writes to no object: no annotation, no finalizer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import kopf
from typing_extensions import override

from runwright.api import retentionpolicy
from runwright.api.labels import AVAILABLE_RUNS
from runwright.api.pipelinerun import PLURAL
from runwright.api.resources import GROUP, VERSION
from runwright.controller.intake import Intake
from runwright.core.shard import EVERYTHING, Shard
from runwright.kube.client import PAGE

ARGO_GROUP = "argoproj.io"
ARGO_VERSION = "v1alpha1"
WORKFLOWS = "workflows"


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
    settings.watching.label_selectors[ARGO_GROUP, WORKFLOWS] = shard.workflow_selector
    settings.watching.label_selectors[GROUP, PLURAL] = shard.run_selector(AVAILABLE_RUNS)
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

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def pipelinerun_event(event: kopf.RawEvent, **_: Any) -> None:
        intake.pipelinerun(event["type"], event["object"])

    @kopf.on.event(ARGO_GROUP, ARGO_VERSION, WORKFLOWS, registry=registry)
    async def workflow_event(event: kopf.RawEvent, **_: Any) -> None:
        intake.workflow(event["type"], event["object"])

    @kopf.on.event(GROUP, VERSION, retentionpolicy.PLURAL, registry=registry)
    async def policy_event(event: kopf.RawEvent, **_: Any) -> None:
        intake.policy(event["type"], event["object"])

    return registry
