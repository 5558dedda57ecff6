"""A client of the in-memory API server. Each call can be made to fail."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from typing_extensions import override

from runwright.api.kinds import PIPELINE_RUN
from runwright.kube.client import PAGE, Client, Form, Page, WatchEvent
from runwright.kube.errors import ApiError, not_served
from runwright.kube.objects import Json, Key, key_of
from runwright.kube.resource import ALL, EVENTS, Resource, Selection
from tests.unit.fake.apiserver import WITH_STATUS, ApiServer, Change, select, selects_fields

T = TypeVar("T")

Commit = Callable[[], Any]
"""Carries a call out on the API server, at once."""

Handler = Callable[[Commit], Awaitable[Any]]
"""Handles a call: with `commit` or without it, before or after something else, or with another result."""

KINDS = {
    "pipelineruns": "PipelineRun",
    "retentionpolicies": "RetentionPolicy",
    "workflowsnapshots": "WorkflowSnapshot",
    "pipelineexperiments": "PipelineExperiment",
    "pipelinemanifests": "PipelineManifest",
    "workflows": "Workflow",
    "workflowtaskresults": "WorkflowTaskResult",
    "workflowtemplates": "WorkflowTemplate",
    "clusterworkflowtemplates": "ClusterWorkflowTemplate",
    "events": "Event",
    "pods": "Pod",
    "secrets": "Secret",
    "configmaps": "ConfigMap",
    "serviceaccounts": "ServiceAccount",
    "leases": "Lease",
    "tokenreviews": "TokenReview",
    "subjectaccessreviews": "SubjectAccessReview",
    "customresourcedefinitions": "CustomResourceDefinition",
}


class FakeClient(Client):
    """The verbs of `kube.client.Client`, on an ApiServer."""

    def __init__(self, server: ApiServer, *, seconds: float = 0.0, page: int = PAGE) -> None:
        """A call takes `seconds`; a page of a list has at most `page` objects."""
        self.server = server
        self._seconds = seconds
        self._page = page
        self.calls: list[str] = []
        """Verb and resource of each call, such as `patch pipelineruns/status`."""
        self.failures: dict[str, deque[ApiError]] = {}
        """Errors of the next calls with this verb and resource."""
        self.before: Callable[[str], None] = lambda call: None
        """Called as each call reaches the API server: may change objects, or raise ApiError."""
        self.handlers: dict[str, Handler] = {}
        """Handlers of calls with this verb and resource."""
        self.replies: dict[Resource, Callable[[Json], Json]] = {}
        """Replies to what is created and not stored, such as TokenReviews."""
        self.pod_logs: dict[tuple[Key, str], bytes] = {}
        """By pod and container."""
        self._watches: list[asyncio.Queue[Change | ApiError | None]] = []

    def fail(self, call: str, *errors: ApiError) -> None:
        """Make the next calls with this verb and resource fail."""
        self.failures.setdefault(call, deque()).extend(errors)

    def end_watches(self, error: ApiError | None = None) -> None:
        """End every watch, as the API server does after its time, or with an error."""
        for watch in self._watches:
            watch.put_nowait(error)

    # ----------------------------------------------------------------------------------------------------------- verbs
    @override
    async def get(self, resource: Resource, key: Key) -> Json | None:
        return await self._call("get", resource, lambda: self.server.get(kind_of(resource), *parts(resource, key)))

    @override
    async def pages(
        self, resource: Resource, selection: Selection = ALL, *, form: Form = Form.OBJECTS, limit: int = PAGE
    ) -> AsyncGenerator[Page]:
        size = min(limit, self._page)

        def read() -> tuple[list[Json], str]:
            return self._select(resource, selection), str(self.server.version)

        left, version = await self._list(resource, read)
        while True:
            items = [in_form(body, form) for body in left[:size]]
            left = left[size:]
            more = {"continue": "more"} if left else {}
            body = {"metadata": {"resourceVersion": version, **more}, **listed(items, form)}
            yield Page(items, version, body)
            if not left:
                return
            await self._list(resource, lambda: ([], version))

    @override
    async def create(self, resource: Resource, body: Json, *, dry_run: bool = False, strict: bool = False) -> Json:
        sent, kind = copied(body), kind_of(resource)
        if kind in WITH_STATUS:
            sent.pop("status", None)

        def commit() -> Json:
            if resource in self.replies:
                return self.replies[resource](sent)
            if resource is EVENTS:
                key = key_of(sent)
                if not self.server.post_event(key.namespace, key.name, sent):
                    raise ApiError(409, "AlreadyExists", f'events "{key.name}" already exists')
                return sent
            return sent if dry_run else self.server.create(kind, sent)

        return await self._call("create", resource, commit)

    @override
    async def replace(self, resource: Resource, body: Json) -> Json | None:
        sent = copied(body)
        return await self._call(
            "update", resource, lambda: or_none(lambda: self.server.update(kind_of(resource), sent))
        )

    @override
    async def patch(self, resource: Resource, key: Key, patch: Json, subresource: str = "") -> Json | None:
        sent, kind = copied(patch), kind_of(resource)

        def commit() -> Json | None:
            return or_none(lambda: self.server.patch(kind, *parts(resource, key), sent, subresource))

        return await self._call("patch", resource, commit, subresource, sent)

    @override
    async def delete(self, resource: Resource, key: Key, *, uid: str = "", version: str = "") -> bool:
        def commit() -> bool:
            def delete() -> bool:
                self.server.delete(kind_of(resource), *parts(resource, key), uid, version)
                return True

            return or_none(delete) is not None

        return await self._call("delete", resource, commit)

    @override
    async def watch(
        self, resource: Resource, selection: Selection, since: str, *, form: Form = Form.OBJECTS
    ) -> AsyncGenerator[WatchEvent]:
        kind = kind_of(resource)
        changes: asyncio.Queue[Change | ApiError | None] = asyncio.Queue()

        def add(change: Change) -> None:
            if change.kind == kind and (selected := select(change, selection.labels)):
                changes.put_nowait(selected)

        def open() -> None:
            self.server.list(kind)  # raises where the kind is not served
            if int(since or 0) < self.server.compacted:
                raise ApiError(410, "Expired", f"too old resource version: {since} ({self.server.compacted})")
            for change in self.server.since(int(since or 0), kind, selection.labels):
                changes.put_nowait(change)
            self.server.listeners.append(add)
            self._watches.append(changes)

        await self._call("watch", resource, open)
        try:
            yield WatchEvent("OPENED", {})
            while change := await changes.get():
                if isinstance(change, ApiError):
                    raise change
                if selection.namespace in ("", key_of(change.body).namespace) and selects_fields(
                    selection.fields, change.body
                ):
                    item = in_form(change.body, form)
                    body = listed([item], form) if form is Form.TABLE else item
                    yield WatchEvent(change.type, body)
        finally:
            self.server.listeners.remove(add)
            self._watches.remove(changes)

    @override
    async def logs(self, pod: Key, container: str, *, follow: bool = False, **query: Any) -> AsyncGenerator[bytes]:
        def read() -> bytes:
            if (pod, container) not in self.pod_logs:
                raise ApiError(404, "NotFound", f'pods "{pod.name}" not found')
            return self.pod_logs[pod, container]

        text = await self._run("get pods/log", read)
        for line in text.splitlines(keepends=True):
            yield line

    async def discover(self, resource: Resource) -> bool:
        """Whether the API server serves the kind."""

        def read() -> bool:
            try:
                self.server.list(kind_of(resource))
            except ApiError:
                return False
            return True

        return await self._run("get discovery", read)

    # ----------------------------------------------------------------------------------------------------------- calls
    async def _list(self, resource: Resource, read: Callable[[], tuple[list[Json], str]]) -> tuple[list[Json], str]:
        try:
            return await self._call("list", resource, read)
        except ApiError as error:
            if error.code == 404:
                raise not_served(resource) from error
            raise

    def _select(self, resource: Resource, selection: Selection) -> list[Json]:
        bodies = self.server.list(kind_of(resource), selection.labels, selection.fields)
        return [body for body in bodies if selection.namespace in ("", key_of(body).namespace)]

    async def _call(
        self,
        verb: str,
        resource: Resource,
        commit: Callable[[], T],
        subresource: str = "",
        sent: Json | None = None,
    ) -> T:
        """Let the API server carry a call out; `sent` is the body of a patch."""
        what = f"{resource.plural}/{subresource}" if subresource else resource.plural
        self.server.calls[verb, what] += 1
        return await self._run(f"{verb} {what}", commit)

    async def _run(self, call: str, commit: Callable[[], T]) -> T:
        await asyncio.sleep(self._seconds)
        return await self._carry_out(call, commit)

    async def _carry_out(self, call: str, commit: Callable[[], T]) -> T:
        self.calls.append(call)
        self.before(call)
        if waiting := self.failures.get(call):
            raise waiting.popleft()
        handler = self.handlers.get(call)
        return commit() if handler is None else await handler(commit)


def kind_of(resource: Resource) -> str:
    """The kind of a resource's objects."""
    return KINDS[resource.plural]


def parts(resource: Resource, key: Key) -> tuple[str, str]:
    """Namespace and name as the API server stores them."""
    return key.namespace if resource.namespaced else "", key.name


def copied(body: Json) -> dict[str, Any]:
    """The body after a round trip through JSON. Raises TypeError for values that JSON does not have."""
    return json.loads(json.dumps(body))


def or_none(commit: Callable[[], T]) -> T | None:
    """The result; None where the object does not exist."""
    try:
        return commit()
    except ApiError as error:
        if error.code == 404:
            return None
        raise


def in_form(body: Json, form: Form) -> Json:
    """An object as the API server sends it in this form."""
    if form is Form.OBJECTS:
        return body
    metadata = {"kind": "PartialObjectMetadata", "metadata": body["metadata"]}
    if form is Form.METADATA:
        return metadata
    return {"cells": [cell(column.path, body) for column in PIPELINE_RUN.columns], "object": metadata}


def listed(items: list[Json], form: Form) -> dict[str, Any]:
    """The objects as part of a list; a Table has the columns of PipelineRuns."""
    if form is not Form.TABLE:
        return {"items": items}
    columns = [
        {"name": column.name, "type": column.type, "priority": int(column.wide)} for column in PIPELINE_RUN.columns
    ]
    return {"kind": "Table", "columnDefinitions": columns, "rows": items}


FILTER = re.compile(r'(\w+)\[\?\(@\.type=="(\w+)"\)\]')


def cell(path: str, body: Json) -> Any:
    """The value of a column, for the JSONPaths that our CRDs have; None where there is none."""
    found: Any = body
    for name in re.findall(r'\.(\w+(?:\[\?\(@\.type=="\w+"\)\])?)', path):
        if not isinstance(found, Mapping):
            return None
        if match := FILTER.fullmatch(name):
            entries = found.get(match[1], ())
            found = next((entry for entry in entries if entry.get("type") == match[2]), None)
        else:
            found = found.get(name)
    return found
