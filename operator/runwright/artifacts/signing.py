"""Signs GET requests: Signature Version 4 of AWS, and Shared Key of Azure Storage."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

AZURE_VERSION = "2023-11-03"
"""Version of Azure's REST API."""

SIGNATURE = re.compile(r"(\?|&)[^=]+=[^&]+")
"""Matches a shared access signature, and not an account key (Argo 3.7, `isSASAccountKey`)."""

EMPTY_HASH = hashlib.sha256(b"").hexdigest()
"""Of the body of a GET request."""


@dataclass(frozen=True, slots=True)
class S3Keys:
    """Keys of S3."""

    access_key: str
    secret_key: str
    token: str = ""
    """Session token; empty for none."""


def escaped(text: str, safe: str = "") -> str:
    """Percent-encodes all but unreserved characters (RFC 3986) and those in `safe`."""
    return quote(text, safe=safe + "-._~", encoding="utf-8")


def query_string(query: Mapping[str, str]) -> str:
    """The query of a URL, sorted by name as Signature Version 4 wants it."""
    return "&".join(f"{escaped(name)}={escaped(query[name])}" for name in sorted(query))


def sign_s3(host: str, path: str, query: Mapping[str, str], region: str, keys: S3Keys, now: datetime) -> dict[str, str]:
    """The headers of a GET request to S3.

    `host` is the Host header, `path` is percent-encoded, and `now` is in UTC.
    """
    date, at = now.strftime("%Y%m%d"), now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": host, "x-amz-content-sha256": EMPTY_HASH, "x-amz-date": at}
    if keys.token:
        headers["x-amz-security-token"] = keys.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
    request = "\n".join(("GET", path, query_string(query), lines, names, EMPTY_HASH))
    scope = f"{date}/{region}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", at, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{keys.secret_key}".encode()
    for part in (date, region, "s3", "aws4_request", text):
        key = hmac.digest(key, part.encode(), "sha256")
    credential = f"Credential={keys.access_key}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    del headers["host"]
    return {**headers, "Authorization": f"AWS4-HMAC-SHA256 {credential}"}


def sign_azure(account: str, key: str, path: str, query: Mapping[str, str], now: datetime) -> dict[str, str]:
    """The headers of a GET request to Azure Blob Storage, signed with an account key. Raises ValueError for an invalid key."""
    try:
        secret = base64.b64decode(key, validate=True)
    except binascii.Error:
        raise ValueError("expected an account key in base64") from None
    headers = azure_headers(now)
    resource = "".join([f"/{account}{path}", *(f"\n{name.lower()}:{query[name]}" for name in sorted(query))])
    # The verb, eleven standard headers that a GET request of ours does not have, x-ms headers, and the resource.
    lines = ["GET", *[""] * 11, *(f"{name}:{headers[name]}" for name in sorted(headers)), resource]
    signature = base64.b64encode(hmac.digest(secret, "\n".join(lines).encode(), "sha256")).decode()
    return {**headers, "Authorization": f"SharedKey {account}:{signature}"}


def azure_headers(now: datetime) -> dict[str, str]:
    """The headers of a request to Azure Blob Storage, without a signature."""
    return {"x-ms-date": now.strftime("%a, %d %b %Y %H:%M:%S GMT"), "x-ms-version": AZURE_VERSION}
