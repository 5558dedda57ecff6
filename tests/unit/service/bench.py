"""The run service on an API server in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.message import Message

from runwright.api.resources import PIPELINE_RUNS
from runwright.artifacts.reader import AllowedStores, Artifacts
from runwright.kube.objects import Json, key_of
from runwright.kube.resource import Resource
from runwright.service.budget import Budget, Hold, Limits
from runwright.service.calls import Access, Caller
from runwright.service.dispatch import Dispatch, Envelope
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
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient, kind_of

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
    """An Authorizer whose tokens are user names; it grants every right that is not in `refuse`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Access]] = []
        self.refuse: set[tuple[str, str]] = set()
        """Verb and namespace."""

    async def identify(self, authorization: str, peer: str = "") -> Caller:
        if not authorization.startswith("Bearer "):
            raise ServiceError(Code.UNAUTHENTICATED, "expected a bearer token")
        return Caller(authorization.removeprefix("Bearer "))

    async def require(self, caller: Caller, access: Access) -> None:
        self.asked.append((caller.user, access))
        if (access.verb, access.namespace) in self.refuse:
            raise ServiceError(Code.PERMISSION_DENIED, "refused by the test")


class Bench:
    """`call` makes a call as the gateway does."""

    def __init__(self, namespace: str = "team") -> None:
        self.clock, self.rights = Clock(), Rights()
        self.server = ApiServer(self.clock.now)
        self.client = FakeClient(self.server)
        self.index, self.experiments, shared = Index[RunRow](), Index[ExperimentRow](), RowFactory()
        self.index.synced = self.experiments.synced = True
        self.manifests = Manifests(self.client, self.clock)
        tenancy = Tenancy(namespace, self.rights, self.index, self.experiments)
        self.runs = Runs(self.client, self.index, shared.row, self.manifests)
        experiments = Experiments(self.client, self.experiments, self.index, KEY, tenancy)
        lists = RunLists(self.index, KEY, self.runs.listed, tenancy)
        service = RunService(
            self.client,
            self.runs,
            lists,
            self.manifests,
            experiments,
            tenancy,
            Artifacts(self.client, AllowedStores()),
            RunOptions(),
        )
        self.measures = ServiceMeasures()
        methods = {**service.methods(), **experiments.methods()}
        self.dispatch = Dispatch(methods, self.rights, Budget(Limits(of_one_caller=256)), self.measures)

    async def call(
        self, method: str, request: Message, headers: Mapping[str, str] | None = None, user: str = "ann"
    ) -> Any:
        envelope = Envelope(method, {"authorization": f"Bearer {user}", **(headers or {})})

        async def receive(_: Hold) -> Message:
            return request

        with ExitStack() as holds:
            return (await self.dispatch.call(envelope, receive, holds)).message

    async def refused(self, method: str, request: Message, **options: Any) -> ServiceError:
        try:
            reply = await self.call(method, request, **options)
        except ServiceError as error:
            return error
        raise AssertionError(f"{method} was not refused: {reply}")

    def all(self, resource: Resource) -> list[Any]:
        """The stored objects of a kind."""
        kind = kind_of(resource)
        return [body for (found, _, _), body in self.server.objects.items() if found == kind]

    def put(self, resource: Resource, body: Json) -> None:
        """Store an object exactly as it is, without a new version."""
        kind, key = kind_of(resource), key_of(body)
        self.server.objects[kind, key.namespace, key.name] = {"kind": kind, **body}

    def run(self) -> Any:
        """The only run."""
        (body,) = self.all(PIPELINE_RUNS)
        return body

    def set_status(self, **status: Any) -> None:
        """Write fields of the only run's status, as the operator does; the index gets the watch event."""
        key = key_of(self.run())
        self.runs.index(self.server.patch_status("PipelineRun", key.namespace, key.name, status))

    @property
    def writes(self) -> list[str]:
        """The calls that write, such as `patch pipelineruns/status`."""
        return [call for call in self.client.calls if not call.startswith(("get ", "list ", "watch "))]
