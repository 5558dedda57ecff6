"""Signatures, with the examples of AWS' own documentation (Signature Version 4, "Authenticating Requests")."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runwright.artifacts.signing import S3Keys, escaped, query_string, sign_azure, sign_s3

KEYS = S3Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST, NOW = "examplebucket.s3.amazonaws.com", datetime(2013, 5, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "signature"),
    [
        ({"lifecycle": ""}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ({"prefix": "J", "max-keys": "2"}, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)
def test_examples_of_aws(query: dict[str, str], signature: str):
    headers = sign_s3(HOST, "/", query, "us-east-1", KEYS, NOW)
    assert headers["x-amz-date"] == "20130524T000000Z"
    assert headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        f"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
    )


def test_a_session_token_is_signed():
    headers = sign_s3(HOST, "/", {}, "us-east-1", S3Keys("a", "b", "token"), NOW)
    assert headers["x-amz-security-token"] == "token"
    assert "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token," in headers["Authorization"]


def test_paths_and_queries_are_escaped():
    assert escaped("a b/ü~+", "/") == "a%20b/%C3%BC~%2B"
    assert query_string({"b": "x/y", "a": ""}) == "a=&b=x%2Fy"


def test_an_account_key_is_base64():
    headers = sign_azure("acct", "a2V5", "/box/k", {"comp": "list"}, NOW)
    assert headers["x-ms-date"] == "Fri, 24 May 2013 00:00:00 GMT"
    assert headers["Authorization"].startswith("SharedKey acct:")
    with pytest.raises(ValueError, match="base64"):
        sign_azure("acct", "####", "/", {}, NOW)
