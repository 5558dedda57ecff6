"""The run service over objects in memory: all of its parts but the API server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from google.protobuf.message import Message

from runwright.artifacts.reader import Artifacts
from runwright.ports import Cluster
from runwright.service.calls import Access, Caller
from runwright.service.dispatch import Dispatch, Limits
from runwright.service.errors import Code, ServiceError
from runwright.service.experiment_rows import ExperimentRow
from runwright.service.experiments import Experiments
from runwright.service.index import Index
from runwright.service.manifests import Manifests
from runwright.service.measures import ServiceMeasures
from runwright.service.rows import RowFactory, RunRow
from runwright.service.run_lists import RunLists
from runwright.service.run_service import RunOptions, RunService
from runwright.service.runs import Runs
from runwright.service.tenancy import Tenancy
from tests.unit.service.objects import Objects

MANIFEST: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"generateName": "hello-", "annotations": {"pipelines.kubeflow.org/kfp_sdk_version": "1.8.22"}},
    "spec": {
        "entrypoint": "main",
        "arguments": {"parameters": [{"name": "text", "value": "hi"}]},
        "serviceAccountName": "runner",
        "templates": [{"name": "main", "container": {"image": "busybox", "command": ["true"]}}],
    },
}
MANIFEST_TEXT = json.dumps(MANIFEST)
KEY = b"k" * 32


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 11, 26, 10, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def on(self, more: timedelta) -> None:
        self.at += more


class Rights:
    """Lets users in by their name, and has them do what the set says, or all."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Access]] = []
        self.refuse: set[tuple[str, str]] = set()
        """Verb and namespace."""

    async def identify(self, authorization: str) -> Caller:
        if not authorization.startswith("Bearer "):
            raise ServiceError(Code.UNAUTHENTICATED, "who?")
        return Caller(authorization.removeprefix("Bearer "))

    async def require(self, caller: Caller, access: Access) -> None:
        self.asked.append((caller.user, access))
        if (access.verb, access.namespace) in self.refuse:
            raise ServiceError(Code.PERMISSION_DENIED, "not you")


class Bench:
    """`call` makes a call as the gateway does."""

    def __init__(self, namespace: str = "team") -> None:
        self.objects, self.clock, self.rights = Objects(), Clock(), Rights()
        self.index, self.experiments, shared = Index[RunRow](), Index[ExperimentRow](), RowFactory()
        self.index.synced = self.experiments.synced = True
        self.manifests = Manifests(self.objects, self.clock)
        tenancy = Tenancy(namespace, self.rights, self.experiments)
        self.runs = Runs(self.objects, self.index, shared.row, self.manifests)
        experiments = Experiments(self.objects, self.experiments, self.index, KEY, tenancy)
        lists = RunLists(self.index, KEY, self.runs.manifest_of_row, tenancy)
        cluster = cast(Cluster, self.objects)
        service = RunService(
            cluster, self.runs, lists, self.manifests, experiments, tenancy, Artifacts(cluster, ()), RunOptions()
        )
        self.measures = ServiceMeasures()
        methods = {**service.methods(), **experiments.methods()}
        self.dispatch = Dispatch(methods, self.rights, Limits(), self.measures)

    async def call(
        self, method: str, request: Message, headers: Mapping[str, str] | None = None, user: str = "ann"
    ) -> Any:
        return await self.dispatch.call(method, request, {"authorization": f"Bearer {user}", **(headers or {})})

    async def refused(self, method: str, request: Message, **options: Any) -> ServiceError:
        try:
            reply = await self.call(method, request, **options)
        except ServiceError as error:
            return error
        raise AssertionError(f"{method} was not refused: {reply}")

    def changed(self, body: dict[str, Any]) -> None:
        """Somebody has written a run, and the watch has told of it."""
        body["metadata"]["resourceVersion"] = str(next(self.objects.versions))
        self.objects.put("pipelineruns", body)
        self.runs.told(body)

    def run(self) -> dict[str, Any]:
        """The one run that there is."""
        (body,) = self.objects.all("pipelineruns")
        return body
