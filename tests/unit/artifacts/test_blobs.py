"""The requests to each object store, and how each kind of reply is mapped."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from runwright.artifacts import blobs
from runwright.artifacts.blobs import Blobs, s3_store
from runwright.artifacts.places import ArtifactError, AzurePlace, GcsPlace, S3Place, SecretKey

KEYS = {"accessKeySecret": "AKID\n", "secretKeySecret": "very-secret"}
SELECTORS = {name: SecretKey("s", name) for name in KEYS}


@dataclass
class Store:
    """An HTTP server on loopback that answers from a script and keeps what it was asked."""

    replies: list[tuple[int, str]] = field(default_factory=list)
    requests: list[web.Request] = field(default_factory=list)
    host: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        status, body = self.replies.pop(0) if self.replies else (200, "hello")
        return web.Response(
            status=status, text=body, headers={"ETag": '"1"', "Last-Modified": "Tue, 24 Nov 2026 18:00:00 GMT"}
        )

    @property
    def headers(self) -> Any:
        return self.requests[-1].headers

    def s3(self, key: str = "k", region: str = "eu-north-1", secrets: Any = SELECTORS) -> S3Place:
        return S3Place(self.host, "bucket", key, region, True, secrets)


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = Store()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", store.handle)
    async with TestServer(app) as running:
        store.host = f"{running.host}:{running.port}"
        yield store


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No identity of this machine's gets into a test, and no test asks for one beyond loopback."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setitem(blobs.RETRIES, "max_retries", 0)


async def given(source: Blobs, key: str = "k") -> bytes:
    opened = await source.open(key)
    data = b"".join([chunk async for chunk in opened.chunks])
    assert opened.size == len(data)
    return data


async def refused(source: Blobs, key: str = "k") -> tuple[str, str]:
    with pytest.raises(ArtifactError) as caught:
        await given(source, key)
    assert "very-secret" not in caught.value.message and "AKID" not in caught.value.message
    return caught.value.reason, caught.value.message


# ------------------------------------------------------------------------------------------------------------- requests
async def test_s3_with_the_keys_of_a_secret(store: Store):
    assert await given(Blobs(store.s3(), KEYS), "a b/c%20d?e#é") == b"hello"
    assert store.requests[0].method == "GET"
    assert store.requests[0].raw_path == "/bucket/a%20b/c%2520d%3Fe%23%C3%A9"
    assert "Credential=AKID/" in store.headers["Authorization"]
    assert "/eu-north-1/s3/" in store.headers["Authorization"]
    assert "x-amz-security-token" not in store.headers


async def test_with_a_secret_nothing_of_the_environment_is_used(store: Store, monkeypatch: pytest.MonkeyPatch):
    """Its token would go to any host that the Workflow names, and its endpoint would win."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mine")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "my-token")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    assert await given(Blobs(store.s3(), KEYS)) == b"hello"
    assert "Credential=AKID/" in store.headers["Authorization"]
    assert "my-token" not in str(store.headers)
    assert await given(Blobs(store.s3(), {**KEYS, "sessionTokenSecret": "its-token"})) == b"hello"
    assert store.headers["x-amz-security-token"] == "its-token"


async def test_s3_with_the_environments_identity(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mine")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    assert await given(Blobs(store.s3(secrets={}), {})) == b"hello"
    assert "Credential=mine/" in store.headers["Authorization"]


async def test_s3_with_no_identity_at_all(store: Store):
    reason, said = await refused(Blobs(store.s3(secrets={}), {}))
    assert reason == "Refused"
    assert (
        "the Workflow names no Secret for it, and this process has no credentials of its own; expected AWS_ACCESS_KEY_ID"
        in said
    )
    assert store.requests == []


async def test_the_region_that_the_bucket_is_in(store: Store):
    """As S3 tells it; where the Workflow names one, that holds."""
    wrong = (400, "<Error><Code>AuthorizationHeaderMalformed</Code><Region>ap-south-1</Region></Error>")
    store.replies = [wrong]
    assert await given(Blobs(store.s3(region=""), KEYS)) == b"hello"
    assert "/ap-south-1/s3/" in store.headers["Authorization"]
    store.replies = [wrong]
    assert (await refused(Blobs(store.s3(), KEYS)))[1].endswith("(AuthorizationHeaderMalformed, HTTP 400)")


@pytest.mark.parametrize(
    ("endpoint", "bucket", "region", "url"),
    [
        ("s3.amazonaws.com", "b", "", "https://b.s3.amazonaws.com"),
        ("s3.amazonaws.com", "b", "eu-west-1", "https://b.s3.eu-west-1.amazonaws.com"),
        ("s3.eu-west-1.amazonaws.com", "b", "", "https://b.s3.eu-west-1.amazonaws.com"),
        ("s3.cn-north-1.amazonaws.com.cn", "b", "", "https://b.s3.cn-north-1.amazonaws.com.cn"),
        ("s3.amazonaws.com", "b.with.dots", "", "https://s3.amazonaws.com"),
        ("minio.ns:9000", "b", "eu-west-1", "https://minio.ns:9000"),
        ("storage.googleapis.com", "b", "", "https://storage.googleapis.com"),
    ],
)
def test_the_bucket_is_in_the_host_name_for_aws_only(endpoint: str, bucket: str, region: str, url: str):
    """AWS takes no paths from new buckets, other servers seldom have a name for each bucket."""
    config: Any = s3_store(S3Place(endpoint, bucket, "k", region, False, {}), {}).config
    assert config["endpoint"] == config["endpoint_url_s3"] == url
    assert (config["virtual_hosted_style_request"] == "true") == url.startswith(f"https://{bucket}.")
    named = region or ("eu-west-1" if "eu-west-1" in endpoint else "cn-north-1" if "cn-north-1" in endpoint else "")
    assert config.get("region", "") == named


async def test_azure_with_the_accounts_key(store: Store):
    key = base64.b64encode(b"k" * 32).decode()
    where = AzurePlace(f"http://{store.host}/", "acct", "box", "a b", {"accountKeySecret": SecretKey("s", "k")})
    assert await given(Blobs(where, {"accountKeySecret": key + "\n"}), "a b") == b"hello"
    assert store.requests[0].raw_path == "/box/a%20b"
    asked = store.headers
    # What Azure signs: the verb, its headers (empty but for the date), x-ms-*, and the account with the path.
    lines = ["GET", *[""] * 5, asked["Date"], *[""] * 5, f"x-ms-version:{asked['x-ms-version']}", "/acct/box/a%20b"]
    digest = hmac.digest(base64.b64decode(key), "\n".join(lines).encode(), hashlib.sha256)
    assert asked["Authorization"] == f"SharedKey acct:{base64.b64encode(digest).decode()}"


async def test_azure_with_a_shared_access_signature(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AZURE_STORAGE_TOKEN", "my-token")
    where = AzurePlace(f"http://{store.host}", "acct", "box", "k", {"accountKeySecret": SecretKey("s", "k")})
    assert await given(Blobs(where, {"accountKeySecret": "?sv=2024&sig=a%2Bb%3D"})) == b"hello"
    assert dict(store.requests[0].query) == {"sv": "2024", "sig": "a+b="}
    assert "Authorization" not in store.headers


async def test_gcs_with_a_service_accounts_key(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(blobs, "client_options", lambda: {"allow_http": True})
    account = {
        "gcs_base_url": f"http://{store.host}",
        "disable_oauth": True,
        "client_email": "a@b",
        "private_key": "x",
        "private_key_id": "x",
    }
    where = GcsPlace("bucket", "a/b c", {"serviceAccountKeySecret": SecretKey("s", "k")})
    assert await given(Blobs(where, {"serviceAccountKeySecret": json.dumps(account)}), "a/b c") == b"hello"
    assert store.requests[0].raw_path == "/bucket/a%2Fb%20c"


@pytest.mark.parametrize("key", ["", "no json", "{}", '{"type": "very-secret"}'])
async def test_an_invalid_service_account_key_is_refused(key: str):
    where = GcsPlace("bucket", "k", {"serviceAccountKeySecret": SecretKey("s", "k")})
    reason, said = await refused(Blobs(where, {"serviceAccountKeySecret": key}))
    assert reason == "Refused"
    assert "serviceAccountKeySecret" in said


@pytest.mark.parametrize("key", ["x", "####"])
async def test_an_invalid_account_key_is_refused(key: str):
    where = AzurePlace("http://127.0.0.1:1", "acct", "box", "k", {"accountKeySecret": SecretKey("s", "k")})
    reason, said = await refused(Blobs(where, {"accountKeySecret": key}))
    assert (reason, said.partition(": ")[2]) == (
        "Refused",
        "the Secrets that accountKeySecret names have no valid credentials",
    )


async def test_an_invalid_ca_is_refused(store: Store):
    reason, said = await refused(Blobs(store.s3(), {**KEYS, "caSecret": "no certificate"}))
    assert (reason, said.partition(": ")[2]) == (
        "Refused",
        "expected PEM certificates in the Secret that caSecret names",
    )


async def test_plain_http_only_where_it_is_asked_for(store: Store):
    where = S3Place(store.host, "bucket", "k", "eu-north-1", False, SELECTORS)
    assert (await refused(Blobs(where, KEYS)))[0] == "Unreachable"
    assert store.requests == []


async def test_a_certificate_authority_of_ones_own(tmp_path: Path):
    """Without it the server is not trusted, and the message says what to look for."""
    subject = [
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-addext",
        "basicConstraints=CA:FALSE",
        "-days",
        "1",
        "-nodes",
    ]
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "cert")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", *subject, *files]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    store, app = Store(), web.Application()
    app.router.add_route("*", "/{path:.*}", store.handle)
    running = TestServer(app, scheme="https")
    await running.start_server(ssl=context)
    async with running:
        where = S3Place(f"127.0.0.1:{running.port}", "bucket", "k", "eu-north-1", False, SELECTORS)
        reason, said = await refused(Blobs(where, KEYS))
        assert reason == "Unreachable"
        assert "the TLS connection is not trusted; check caSecret and insecure" in said
        authority = (tmp_path / "cert").read_text()
        assert await given(Blobs(where, {**KEYS, "caSecret": authority})) == b"hello"


# -------------------------------------------------------------------------------------------------------------- replies
S3_ERROR = "<Error><Code>{}</Code><AWSAccessKeyId>AKID</AWSAccessKeyId><StringToSign>very-secret</StringToSign></Error>"


@pytest.mark.parametrize(
    ("status", "code", "reason", "message"),
    [
        (404, "NoSuchKey", "ObjectNotFound", 'has no object with the key "k"'),
        (404, "NoSuchBucket", "ObjectNotFound", "/bucket does not exist"),
        (404, "XAdminUserNotFound", "Refused", "(XAdminUserNotFound, HTTP 404)"),
        (403, "SignatureDoesNotMatch", "Refused", "(SignatureDoesNotMatch, HTTP 403)"),
        (403, "AccessDenied", "Refused", "(AccessDenied, HTTP 403)"),
        (401, "Unauthorized", "Refused", "(Unauthorized, HTTP 401)"),
        (400, "InvalidArgument", "Refused", "(InvalidArgument, HTTP 400)"),
        (500, "InternalError", "Unreachable", "does not answer (HTTP 500)"),
        (503, "SlowDown", "Unreachable", "does not answer (HTTP 503)"),
    ],
)
async def test_errors_of_s3_are_mapped(store: Store, status: int, code: str, reason: str, message: str):
    store.replies = [(status, S3_ERROR.format(code))]
    actual, said = await refused(Blobs(store.s3(), KEYS))
    assert actual == reason
    assert message in said


async def test_a_refused_connection_is_unreachable():
    where = S3Place("127.0.0.1:1", "bucket", "k", "eu-north-1", True, SELECTORS)
    assert await refused(Blobs(where, KEYS)) == ("Unreachable", "bucket 127.0.0.1:1/bucket does not answer")


async def test_a_list_of_a_folder(store: Store):
    page = (
        "<ListBucketResult><IsTruncated>false</IsTruncated>"
        + "".join(
            f"<Contents><Key>{key}</Key><Size>{size}</Size><LastModified>2026-11-24T18:00:00.000Z</LastModified></Contents>"
            for key, size in (("d/a", 1), ("d/sub/b", 2))
        )
        + "</ListBucketResult>"
    )
    store.replies = [(200, page)]
    assert [entry async for entry in Blobs(store.s3(), KEYS).list("d/")] == [("d/a", 1), ("d/sub/b", 2)]
    assert store.requests[0].query["prefix"] == "d/"
    store.replies = [(403, S3_ERROR.format("AccessDenied"))]
    with pytest.raises(ArtifactError, match="AccessDenied"):
        _ = [entry async for entry in Blobs(store.s3(), KEYS).list("d")]


async def test_an_interrupted_transfer_is_unreachable():
    """Fewer bytes than were announced are no artifact."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Length": "1000", "ETag": '"1"', "Last-Modified": "Tue, 24 Nov 2026 18:00:00 GMT"}
        )
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(app) as running:
        where = S3Place(f"{running.host}:{running.port}", "bucket", "k", "eu-north-1", True, SELECTORS)
        assert (await refused(Blobs(where, KEYS)))[0] == "Unreachable"
