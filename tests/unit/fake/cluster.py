"""The `Cluster` port on the in-memory API server, with one place where a call goes wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from typing_extensions import override

from runwright.adapters.kubernetes_api import (
    NODE_ANNOTATION,
    NOT_YET_ARCHIVED,
    STILL_ARCHIVED,
    UNFINISHED,
    WORKFLOW_LABEL,
    identity_of,
)
from runwright.api.labels import ARCHIVED_RUNS, AVAILABLE_RUNS, DELETE_ON_LABEL, RUN_LABEL
from runwright.api.retentionpolicy import POLICY_NAME
from runwright.api.states import Shutdown
from runwright.core.decision import Notice, event_name
from runwright.core.records import RunRecord, WorkflowRecord
from runwright.core.workflow.build import ObjectRef
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, key_of
from runwright.kube.resource import Resource
from runwright.ports import Cluster, Identity, Leftover
from tests.unit.fake.faults import LATE_SECONDS, Process

CALL_SECONDS = 0.002
"""How long an API call takes until it is carried out."""

PAGE = 2
"""Objects in a page of a list: small, so that lists of few objects have several pages."""

T = TypeVar("T")


class FaultyCluster(Cluster):
    """The port. Every call of it can be the one at which the world's fault is."""

    def __init__(self, operator: Process) -> None:
        self._operator = operator
        self._world = operator.world
        self._server = operator.world.server

    @override
    async def get(self, resource: Resource, key: Key) -> Json | None:
        kinds = {"workflows": "Workflow", "workflowsnapshots": "WorkflowSnapshot", "secrets": "Secret"}
        kind = kinds.get(resource.plural, "ConfigMap")
        return await self._call("get", resource.plural, lambda: self._server.get(kind, key.namespace, key.name))

    @override
    async def get_run(self, key: Key) -> Json | None:
        return await self._call("get", "pipelineruns", lambda: self._server.get("PipelineRun", key.namespace, key.name))

    @override
    async def get_workflow(self, key: Key) -> Json | None:
        return await self._call("get", "workflows", lambda: self._server.get("Workflow", key.namespace, key.name))

    @override
    async def get_object(self, ref: ObjectRef) -> Json | None:
        def get() -> Json | None:
            try:
                return self._server.get(ref.kind, ref.namespace, ref.name)
            except ApiError:  # the adapter takes a kind that is not served for an object that is not there
                return None

        return await self._call("get", f"{ref.kind.lower()}s", get)

    @override
    async def get_secret(self, namespace: str, name: str) -> Json | None:
        return await self._call("get", "secrets", lambda: self._server.get("Secret", namespace, name))

    @override
    async def create_workflow(self, workflow: Json) -> Json:
        body = json.loads(json.dumps(workflow))
        return await self._call("create", "workflows", lambda: self._server.create("Workflow", body))

    @override
    async def delete_workflow(self, workflow: WorkflowRecord) -> None:
        await self._delete("Workflow", "workflows", workflow.key, workflow.uid, workflow.resource_version)

    @override
    async def label_workflow(self, workflow: WorkflowRecord, labels: Mapping[str, str]) -> Json | None:
        def label() -> Json | None:
            return self._of_uid(workflow) and self._server.patch_labels("Workflow", *key_parts(workflow.key), labels)

        return await self._call("patch", "workflows", label)

    @override
    async def shut_down_workflow(self, workflow: WorkflowRecord, how: Shutdown) -> Json | None:
        def shut_down() -> Json | None:
            there = self._of_uid(workflow)
            if there is None:
                return None
            spec = {**there["spec"], "shutdown": how.value}
            return self._server.replace("Workflow", *key_parts(workflow.key), spec=spec)

        return await self._call("patch", "workflows", shut_down)

    def _of_uid(self, workflow: WorkflowRecord) -> Json | None:
        """The very Workflow; None where there is none of its name. Raises ApiError Conflict for another one."""
        there = self._server.objects.get(("Workflow", *key_parts(workflow.key)))
        if there is not None and there["metadata"]["uid"] != workflow.uid:
            raise ApiError(409, "Conflict", "Precondition failed: UID in precondition")
        return there

    @override
    async def replace_workflow(self, workflow: Json) -> Json | None:
        body = json.loads(json.dumps(workflow))
        return await self._call(
            "update", "workflows", lambda: none_if_gone(lambda: self._server.update("Workflow", body))
        )

    @override
    async def list_leftovers(self, key: Key) -> list[Leftover]:
        found = f"{WORKFLOW_LABEL}={key.name}"
        pods = await self._call("list", "pods", lambda: self._served("Pod", found))
        results = await self._call("list", "workflowtaskresults", lambda: self._served("WorkflowTaskResult", found))
        return [
            *(Leftover("Pod", key_of(b), uid_of(b), b["metadata"]["annotations"][NODE_ANNOTATION]) for b in pods),
            *(Leftover("WorkflowTaskResult", key_of(b), uid_of(b), key_of(b).name) for b in results),
        ]

    @override
    async def delete_leftover(self, leftover: Leftover) -> None:
        try:
            await self._delete(leftover.kind, f"{leftover.kind.lower()}s", leftover.key, leftover.uid)
        except ApiError as error:
            if error.code != 409:
                raise

    @override
    async def get_snapshot(self, key: Key) -> Json | None:
        get = partial(self._server.get, "WorkflowSnapshot", key.namespace, key.name)
        return await self._call("get", "workflowsnapshots", get)

    @override
    async def create_snapshot(self, snapshot: Json) -> None:
        body = json.loads(json.dumps(snapshot))
        await self._call("create", "workflowsnapshots", lambda: self._server.create("WorkflowSnapshot", body))

    @override
    async def delete_snapshot(self, snapshot: Json) -> None:
        await self._delete("WorkflowSnapshot", "workflowsnapshots", key_of(snapshot), uid_of(snapshot))

    @override
    async def label_run(self, run: RunRecord, labels: Mapping[str, str | None]) -> Json | None:
        key, given = run.key, dict(labels)

        def label() -> Json | None:
            return none_if_gone(
                lambda: self._server.patch_labels("PipelineRun", key.namespace, key.name, given, run.resource_version)
            )

        return await self._call("patch", "pipelineruns", label)

    @override
    async def delete_run(self, run: RunRecord) -> None:
        await self._delete("PipelineRun", "pipelineruns", run.key, run.uid, run.resource_version)

    @override
    async def get_policy(self, namespace: str) -> Json | None:
        get = partial(self._server.get, "RetentionPolicy", namespace, POLICY_NAME)
        return await self._call("get", "retentionpolicies", get)

    @override
    async def patch_run_status(self, run: RunRecord, patch: Json) -> Json:
        body = json.loads(json.dumps(patch))
        if not body:
            self._world.problems.append("a patch that changes nothing was sent")

        def patch_status() -> Json:
            return self._server.patch_status("PipelineRun", run.key.namespace, run.key.name, body, run.resource_version)

        return await self._call("patch", "pipelineruns/status", patch_status)

    @override
    async def post_event(self, run: RunRecord, notice: Notice, now: datetime) -> None:
        name = event_name(run, notice)
        event = {"run": run.key.name, "uid": run.uid, "type": notice.type, "reason": notice.reason}
        await self._call("create", "events", lambda: self._server.post_event(run.key.namespace, name, event))

    @override
    async def list_unfinished_runs(self) -> AsyncIterator[Identity]:
        async for identity in self._list("PipelineRun", fields=UNFINISHED):
            yield identity

    @override
    async def list_half_archived_runs(self) -> AsyncIterator[Identity]:
        async for identity in self._list("PipelineRun", ARCHIVED_RUNS, NOT_YET_ARCHIVED):
            yield identity
        async for identity in self._list("PipelineRun", AVAILABLE_RUNS, STILL_ARCHIVED):
            yield identity

    @override
    async def list_expiring_runs(self, days: tuple[str, ...]) -> AsyncIterator[Identity]:
        when = f"{DELETE_ON_LABEL} in ({','.join(days)})" if days else DELETE_ON_LABEL
        async for identity in self._list("PipelineRun", f"{ARCHIVED_RUNS},{when}"):
            yield identity

    @override
    async def list_undated_runs(self, namespace: str) -> AsyncIterator[Identity]:
        async for identity in self._list("PipelineRun", f"{ARCHIVED_RUNS},!{DELETE_ON_LABEL}"):
            if namespace in ("", identity.key.namespace):
                yield identity

    @override
    async def list_runs(self, namespace: str) -> AsyncIterator[Identity]:
        async for identity in self._list("PipelineRun"):
            if identity.key.namespace == namespace:
                yield identity

    @override
    async def list_workflows(self) -> AsyncIterator[Identity]:
        async for identity in self._list("Workflow", RUN_LABEL):
            yield identity

    async def _list(self, kind: str, labels: str = "", fields: str = "") -> AsyncIterator[Identity]:
        resource = f"{kind.lower()}s"
        left = await self._call("list", resource, lambda: self._served(kind, labels, fields))
        while left:
            for body in left[:PAGE]:
                yield identity_of(body)
            left = left[PAGE:]
            if left:
                await self._call("list", resource, lambda: None)

    def _served(self, kind: str, labels: str = "", fields: str = "") -> list[Json]:
        try:
            return self._server.list(kind, labels, fields)
        except ApiError:  # the adapter: without its CRD, there are none of the kind
            return []

    async def _delete(self, kind: str, resource: str, key: Key, uid: str, version: str = "") -> None:
        def delete() -> None:
            none_if_gone(lambda: self._server.delete(kind, key.namespace, key.name, uid, version))

        await self._call("delete", resource, delete)

    async def _call(self, verb: str, resource: str, commit: Callable[[], T]) -> T:
        """Have the API server do it, unless this is the call at which the fault is."""
        self._server.calls[verb, resource] += 1
        await asyncio.sleep(CALL_SECONDS)
        fault = self._fault_of_this_call(f"{verb} {resource}")
        await self._fail_before(fault, commit)
        result = commit()
        await self._fail_after(fault)
        await asyncio.sleep(0)
        return result

    def _fault_of_this_call(self, call: str) -> str:
        if not self._operator.faulty:
            return ""
        number = len(self._world.calls)
        self._world.calls.append(call)
        return self._world.fault.kind if number == self._world.fault.at else ""

    async def _fail_before(self, fault: str, commit: Callable[[], object]) -> None:
        match fault:
            case "crash before":
                await self._crash(0.5)
            case "long crash before":
                await self._crash(40)
            case "committed late":
                asyncio.get_running_loop().call_later(LATE_SECONDS, swallow, commit)
                raise ApiError(0, "Unreachable", "no reply; the call is carried out later")
            case "committed very late":
                asyncio.get_running_loop().call_later(100, swallow, commit)
                raise ApiError(0, "Unreachable", "no reply; the call is carried out much later")
            case "paused before":
                await self._pause(20)
            case "long paused before":
                await self._pause(400)
            case _ if fault in ERRORS:
                raise ERRORS[fault]
            case _:
                pass

    async def _fail_after(self, fault: str) -> None:
        match fault:
            case "crash after":
                await self._crash(0.5)
            case "long crash after":
                await self._crash(40)
            case "no reply after":
                raise ApiError(0, "Unreachable", "no reply; the call was carried out")
            case "paused after":
                await self._pause(20)
            case "second operator":
                self._world.second_operator()
            case _:
                pass

    async def _crash(self, down: float) -> None:
        self._operator.crash()
        self._world.crashed(self._operator, down)
        await asyncio.get_running_loop().create_future()

    async def _pause(self, seconds: float) -> None:
        """Another one takes over while this one stands still."""
        self._world.second_operator()
        await self._operator.pause(seconds)


ERRORS: dict[str, ApiError] = {
    "409": ApiError(409, "Conflict", "the object has been modified"),
    "429": ApiError(429, "TooManyRequests", "the server has received too many requests"),
    "500": ApiError(500, "InternalError", "etcdserver: leader changed"),
    "no reply before": ApiError(0, "Unreachable", "no reply; the call was not carried out"),
}


def swallow(commit: Callable[[], Any]) -> None:
    """A call whose caller has given up."""
    try:
        commit()
    except ApiError:
        return


def none_if_gone(commit: Callable[[], T]) -> T | None:
    """What the adapter makes of a 404."""
    try:
        return commit()
    except ApiError as error:
        if error.code == 404:
            return None
        raise


def uid_of(body: Json) -> str:
    return body["metadata"]["uid"]


def key_parts(key: Key) -> tuple[str, str]:
    """Namespace and name."""
    return key.namespace, key.name
