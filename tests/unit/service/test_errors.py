"""Error codes and their HTTP status."""

from __future__ import annotations

import grpc
import pytest

from runwright.kube.errors import ApiError
from runwright.service.errors import (
    HTTP_STATUS,
    Code,
    invalid_argument,
    not_found,
    to_client_error,
    unavailable,
)


def test_the_codes_are_those_of_grpc():
    numbers = {code.name: code.value[0] for code in grpc.StatusCode}
    assert {code.name: int(code) for code in Code} == {code.name: numbers[code.name] for code in Code}


def test_every_code_has_an_http_status():
    assert set(HTTP_STATUS) == set(Code)
    assert Code.NOT_FOUND.http_status == 404 and Code.RESOURCE_EXHAUSTED.http_status == 429


def test_a_prefix_keeps_the_code_and_comes_before_the_message():
    error = invalid_argument("name: expected text").within("Validate create run request failed.")
    assert (error.code, error.message) == (
        Code.INVALID_ARGUMENT,
        "Validate create run request failed.: name: expected text",
    )


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (not_found("Run", "x"), Code.NOT_FOUND, "Run x not found."),
        (unavailable("try again"), Code.UNAVAILABLE, "try again"),
    ],
)
def test_errors_have_their_code_and_text(error: Exception, code: Code, message: str):
    assert (error.code, error.message, str(error)) == (code, message, message)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, Code.INVALID_ARGUMENT),
        (413, Code.INVALID_ARGUMENT),
        (422, Code.INVALID_ARGUMENT),
        (403, Code.FAILED_PRECONDITION),
        (404, Code.NOT_FOUND),
        (409, None),
        (500, None),
        (0, None),
    ],
)
def test_a_refusal_is_the_clients_error_only_where_it_is_about_the_request(status: int, code: Code | None):
    error = to_client_error(ApiError(status, "Reason", "the text"))
    assert (error and (error.code, error.message)) == (code and (code, "the text"))
