"""Calls: authentication, limits, metrics, and the mapping of errors."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from runwright.kube.errors import ApiError
from runwright.service.dispatch import RefusalLog
from runwright.service.errors import HTTP_STATUS, Code
from tests.unit.service.gateway import TOKEN, Gateway


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ApiError(0, "Unreachable", "secret-host:6443"), Code.UNAVAILABLE),
        (ApiError(500, "InternalError", "secret-host"), Code.UNAVAILABLE),
        (ApiError(429, "TooManyRequests", "secret-host"), Code.UNAVAILABLE),
        (ApiError(409, "Conflict", "secret-host"), Code.ABORTED),
        (ApiError(403, "Forbidden", "secret-host"), Code.INTERNAL),
        (ZeroDivisionError("secret-host"), Code.INTERNAL),
    ],
)
async def test_an_internal_failure_is_logged_and_its_text_kept_from_the_client(
    gateway: Gateway, failure: Exception, code: Code, caplog: pytest.LogCaptureFixture
):
    gateway.answer = failure
    with caplog.at_level(logging.INFO):
        status, shown, _ = await gateway.send("GET", "/apis/v1beta1/runs/x")
    assert (status, shown["code"]) == (HTTP_STATUS[code], int(code))
    assert "secret-host" not in json.dumps(shown)
    if code == Code.INTERNAL:
        id = shown["message"].partition("id ")[2][:8]
        assert any(id in record.message and "secret-host" in record.message for record in caplog.records)


async def test_slow_calls_and_too_many_calls_are_refused_and_counted(gateway: Gateway):
    gateway.seconds = 0.2
    replies = await asyncio.gather(*(gateway.send("GET", "/apis/v1beta1/runs/x") for _ in range(6)))
    assert sorted(status for status, *_ in replies) == [200] * 4 + [429] * 2
    gateway.seconds = 5
    status, shown, _ = await gateway.send("GET", "/apis/v1beta1/runs/x")
    assert (status, shown["code"]) == (504, 4)
    series = gateway.measures.registry.get_sample_value
    for code, number in (("OK", 4), ("RESOURCE_EXHAUSTED", 2), ("DEADLINE_EXCEEDED", 1)):
        labels = {"method": "RunService/GetRun", "code": code}
        assert series("runwright_serve_call_duration_seconds_count", labels) == number


async def test_impersonation_headers_are_refused(gateway: Gateway):
    status, shown, _ = await gateway.send("GET", "/apis/v1beta1/runs", headers=TOKEN | {"Impersonate-User": "root"})
    assert (status, shown["code"]) == (400, 3) and not gateway.calls


def test_a_flood_of_refusals_is_a_few_lines_and_a_number(caplog: pytest.LogCaptureFixture):
    now = 0.0
    log = RefusalLog(lambda: now)
    with caplog.at_level(logging.INFO):
        for number in range(1000):
            log.log("UNAUTHENTICATED", f"call {number}")
        log.log("PERMISSION_DENIED", "other")
        now = 11.0
        log.log("UNAUTHENTICATED", "later")
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        *(f"call {number}" for number in range(20)),
        "other",
        "980 more calls were refused with UNAUTHENTICATED",
        "later",
    ]
