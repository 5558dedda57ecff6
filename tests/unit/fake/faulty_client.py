"""The operator's client in the crash sweep: one call fails, in each possible way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from typing_extensions import override

from runwright.kube.errors import ApiError
from runwright.kube.objects import Json
from runwright.kube.resource import Resource
from tests.unit.fake.client import FakeClient
from tests.unit.fake.faults import LATE_SECONDS, Process

CALL_SECONDS = 0.002
"""Seconds from an API call to its effect."""

PAGE = 2
"""Objects in a page of a list: small, so that lists of few objects have several pages."""

T = TypeVar("T")

ERRORS: dict[str, ApiError] = {
    "409": ApiError(409, "Conflict", "the object has been modified"),
    "429": ApiError(429, "TooManyRequests", "the server has received too many requests"),
    "500": ApiError(500, "InternalError", "etcdserver: leader changed"),
    "no reply before": ApiError(0, "Unreachable", "no reply; the call was not carried out"),
}


class FaultyClient(FakeClient):
    """A client that injects the world's fault at one call."""

    def __init__(self, operator: Process) -> None:
        super().__init__(operator.world.server, seconds=CALL_SECONDS, page=PAGE)
        self._operator = operator
        self._world = operator.world

    @override
    async def _call(
        self,
        verb: str,
        resource: Resource,
        commit: Callable[[], T],
        subresource: str = "",
        sent: Json | None = None,
    ) -> T:
        if subresource and sent is not None and not sent.get(subresource):
            self._world.problems.append("a patch that changes nothing was sent")
        return await super()._call(verb, resource, commit, subresource, sent)

    @override
    async def _run(self, call: str, commit: Callable[[], T]) -> T:
        await asyncio.sleep(self._seconds)
        fault = self._fault_of_this_call(call)
        await self._fail_before(fault, commit)
        result = await self._carry_out(call, commit)
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
                asyncio.get_running_loop().call_later(LATE_SECONDS, ignore_refusal, commit)
                raise ApiError(0, "Unreachable", "no reply; the call is carried out later")
            case "committed very late":
                asyncio.get_running_loop().call_later(100, ignore_refusal, commit)
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
        """Pause this operator and start another one."""
        self._world.second_operator()
        await self._operator.pause(seconds)


def ignore_refusal(commit: Callable[[], Any]) -> None:
    """Carry out a call late; ignore the API server's refusal."""
    try:
        commit()
    except ApiError:
        return
