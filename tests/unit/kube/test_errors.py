from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.kube.errors import ApiError, error_line, not_served, status_error, unreachable
from runwright.kube.resource import Resource


def test_a_status_gives_reason_message_and_causes() -> None:
    status = {"reason": "Invalid", "message": "no", "details": {"causes": [{"reason": "FieldValueInvalid"}, "odd"]}}
    error = status_error(422, json.dumps(status).encode())
    assert (error.code, error.reason, error.message) == (422, "Invalid", "no")
    assert error.causes == ("FieldValueInvalid", "")
    assert str(error) == "422 Invalid: no"


def test_a_page_of_a_proxy_is_quoted_in_part() -> None:
    error = status_error(502, b"<html>" + b"x" * 1000)
    assert (error.reason, len(error.message)) == ("Unknown", 500)


@given(st.integers(300, 599), st.binary(max_size=200) | st.from_regex(rb'\{"details":.{0,20}\}', fullmatch=True))
def test_any_refusal_gives_an_error(code: int, body: bytes) -> None:
    assert status_error(code, body).code == code


def test_a_deep_status_is_still_an_error() -> None:
    assert status_error(500, b"[" * 100_000).reason == "Unknown"


def test_no_reply_has_code_0() -> None:
    error = unreachable(TimeoutError())
    assert isinstance(error, ApiError) and (error.code, error.reason) == (0, "Unreachable")


def test_an_unserved_kind_is_named() -> None:
    assert not_served(Resource("", "v1", "pods")).message.startswith("pods are not served")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ApiError(404, "NotFound", "no\n  such"), "404 NotFound: no such"),
        (ApiError(0, "Unreachable", "no reply"), "Unreachable: no reply"),
        (ValueError("a\tb"), "ValueError: a b"),
    ],
)
def test_an_error_is_one_line(error: Exception, line: str) -> None:
    assert error_line(error) == line
