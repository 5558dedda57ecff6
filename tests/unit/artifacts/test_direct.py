"""Requests to servers that no cloud runs, and how each kind of reply is mapped, over real sockets on loopback."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from runwright.artifacts import direct
from runwright.artifacts.direct import MAX_ERROR, DirectStore, GuardedResolver, RefusedAddressError
from runwright.artifacts.hosts import parse_endpoint
from runwright.artifacts.places import ArtifactError, AzurePlace, S3Place, SecretKey

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
        return S3Place(parse_endpoint(self.host, tls=False), "bucket", key, region, secrets)


Source = Callable[[], DirectStore]


def store_of(place: S3Place | AzurePlace, secrets: Any) -> Source:
    return partial(DirectStore, place, secrets, loopback=False)


def s3_at(host: str, tls: bool = False) -> S3Place:
    return S3Place(parse_endpoint(host, tls), "bucket", "k", "eu-north-1", SELECTORS)


def azure_at(host: str) -> AzurePlace:
    return AzurePlace(parse_endpoint(host, tls=False), "acct", "box", "k", {"accountKeySecret": SecretKey("s", "k")})


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
    monkeypatch.setattr(direct, "ATTEMPTS", 1)


async def given(source: Source, key: str = "k") -> bytes:
    store = source()
    try:
        opened = await store.open(key)
        data = b"".join([chunk async for chunk in opened.chunks])
    finally:
        await store.close()
    assert opened.size == len(data)
    return data


async def listed(source: Source, folder: str) -> list[tuple[str, int]]:
    store = source()
    try:
        return [entry async for entry in store.list(folder)]
    finally:
        await store.close()


async def refused(source: Source, key: str = "k") -> tuple[str, str]:
    with pytest.raises(ArtifactError) as caught:
        await given(source, key)
    assert "very-secret" not in caught.value.message and "AKID" not in caught.value.message
    return caught.value.reason, caught.value.message


# ------------------------------------------------------------------------------------------------------------- requests
async def test_s3_with_the_keys_of_a_secret(store: Store):
    assert await given(store_of(store.s3(), KEYS), "a b/c%20d?e#é") == b"hello"
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
    assert await given(store_of(store.s3(), KEYS)) == b"hello"
    assert "Credential=AKID/" in store.headers["Authorization"]
    assert "my-token" not in str(store.headers)
    assert await given(store_of(store.s3(), {**KEYS, "sessionTokenSecret": "its-token"})) == b"hello"
    assert store.headers["x-amz-security-token"] == "its-token"


async def test_s3_with_the_environments_identity(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mine")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    assert await given(store_of(store.s3(secrets={}), {})) == b"hello"
    assert "Credential=mine/" in store.headers["Authorization"]


async def test_s3_with_no_identity_at_all(store: Store):
    reason, said = await refused(store_of(store.s3(secrets={}), {}))
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
    assert await given(store_of(store.s3(region=""), KEYS)) == b"hello"
    assert "/ap-south-1/s3/" in store.headers["Authorization"]
    store.replies = [wrong]
    assert (await refused(store_of(store.s3(), KEYS)))[1].endswith("(AuthorizationHeaderMalformed, HTTP 400)")


async def test_azure_with_the_accounts_key(store: Store):
    key = base64.b64encode(b"k" * 32).decode()
    where = azure_at(store.host)
    assert await given(store_of(where, {"accountKeySecret": key + "\n"}), "a b") == b"hello"
    assert store.requests[0].raw_path == "/acct/box/a%20b"
    asked = store.headers
    # What Azure signs: the verb, its headers (empty), x-ms-*, and the account with the path.
    named = [f"{name}:{asked[name]}" for name in ("x-ms-date", "x-ms-version")]
    lines = ["GET", *[""] * 11, *named, "/acct/acct/box/a%20b"]
    digest = hmac.digest(base64.b64decode(key), "\n".join(lines).encode(), hashlib.sha256)
    assert asked["Authorization"] == f"SharedKey acct:{base64.b64encode(digest).decode()}"


async def test_azure_with_a_shared_access_signature(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AZURE_STORAGE_TOKEN", "my-token")
    where = azure_at(store.host)
    assert await given(store_of(where, {"accountKeySecret": "?sv=2024&sig=a%2Bb%3D"})) == b"hello"
    assert dict(store.requests[0].query) == {"sv": "2024", "sig": "a+b="}
    assert "Authorization" not in store.headers


@pytest.mark.parametrize("key", ["x", "####"])
async def test_an_invalid_account_key_is_refused(key: str):
    where = azure_at("127.0.0.1:1")
    reason, said = await refused(store_of(where, {"accountKeySecret": key}))
    assert (reason, said.partition(": ")[2]) == (
        "Refused",
        "the Secrets that accountKeySecret names have no valid credentials",
    )


async def test_an_invalid_ca_is_refused(store: Store):
    reason, said = await refused(store_of(s3_at(store.host, tls=True), {**KEYS, "caSecret": "no certificate"}))
    assert (reason, said.partition(": ")[2]) == (
        "Refused",
        "expected PEM certificates in the Secret that caSecret names",
    )


async def test_plain_http_only_where_it_is_asked_for(store: Store):
    where = s3_at(store.host, tls=True)
    assert (await refused(store_of(where, KEYS)))[0] == "Unreachable"
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
        where = s3_at(f"127.0.0.1:{running.port}", tls=True)
        reason, said = await refused(store_of(where, KEYS))
        assert reason == "Unreachable"
        assert "the TLS connection is not trusted; check caSecret and insecure" in said
        authority = (tmp_path / "cert").read_text()
        assert await given(store_of(where, {**KEYS, "caSecret": authority})) == b"hello"


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
    actual, said = await refused(store_of(store.s3(), KEYS))
    assert actual == reason
    assert message in said


async def test_a_refused_connection_is_unreachable():
    where = s3_at("127.0.0.1:1")
    assert await refused(store_of(where, KEYS)) == ("Unreachable", "bucket 127.0.0.1:1/bucket does not answer")


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
    assert await listed(store_of(store.s3(), KEYS), "d/") == [("d/a", 1), ("d/sub/b", 2)]
    assert store.requests[0].query["prefix"] == "d/"
    store.replies = [(403, S3_ERROR.format("AccessDenied"))]
    with pytest.raises(ArtifactError, match="AccessDenied"):
        await listed(store_of(store.s3(), KEYS), "d")


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
        where = s3_at(f"{running.host}:{running.port}")
        assert (await refused(store_of(where, KEYS)))[0] == "Unreachable"


# -------------------------------------------------------------------------------------------------- hostile servers
class Answer:
    """A socket on loopback that sends the same bytes to each connection, and counts what it sent."""

    def __init__(self, *parts: bytes, seconds: float = 0, keep: bool = False) -> None:
        self._parts, self._seconds, self._keep = parts, seconds, keep
        self.asked: list[bytes] = []
        self.sent = 0

    async def __aenter__(self) -> Answer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.host = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        try:
            for part in self._parts:
                writer.write(part)
                await writer.drain()
                self.sent += len(part)
                await asyncio.sleep(self._seconds)
            if self._keep:
                await reader.read()
        except OSError:
            pass
        finally:
            writer.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int):
    async with Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret") as inner:
        head = f"HTTP/1.1 {status} Moved\r\nLocation: http://{inner.host}/latest\r\nContent-Length: 0\r\n\r\n"
        async with Answer(head.encode()) as outer:
            source = store_of(s3_at(outer.host), {**KEYS, "sessionTokenSecret": "very-secret"})
            reason, said = await refused(source)
            assert (reason, said.partition(": ")[2]) == (
                "Refused",
                f"expected an object, found a redirect (HTTP {status}), which is not followed",
            )
            with pytest.raises(ArtifactError, match="redirect"):
                await listed(source, "d")
        assert inner.asked == []


async def test_of_an_error_body_only_the_start_is_read():
    """The server sends 150 MiB; the sockets' buffers take a few of them."""
    head = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 157286400\r\n\r\n<Error><Code>AccessDenied</Code>"
    async with Answer(head, *[bytes(MAX_ERROR)] * 2400) as server:
        reason, said = await refused(store_of(s3_at(server.host), KEYS))
        assert (reason, said.endswith("(AccessDenied, HTTP 403)")) == ("Refused", True)
        assert server.sent < 32 * 1024 * 1024


async def test_a_list_without_an_end_is_refused():
    page = b"<ListBucketResult>" + b"<Contents><Key>d/a</Key><Size>1</Size></Contents>" * 10
    page += b"<NextContinuationToken>same</NextContinuationToken></ListBucketResult>"
    async with Answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + page) as server:
        with pytest.raises(ArtifactError, match="its list of objects has no end"):
            await listed(store_of(s3_at(server.host), KEYS), "d")
    endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<ListBucketResult>"
    async with Answer(endless, *[b" " * MAX_ERROR] * 1000) as server:
        with pytest.raises(ArtifactError, match="its list of objects is too large"):
            await listed(store_of(s3_at(server.host), KEYS), "d")
        assert server.sent < 32 * 1024 * 1024


@pytest.mark.parametrize("parts", [(), (b"HTTP/1.1 200",), (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",)])
async def test_a_silent_server_is_given_up(parts: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(direct, "READ_SECONDS", 0.2)
    async with Answer(*parts, keep=True) as server:
        assert (await refused(store_of(s3_at(server.host), KEYS)))[0] == "Unreachable"


@pytest.mark.parametrize("reply", [b"\0" * 100, b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 100_000 + b"\r\n"])
async def test_what_is_no_http_is_unreachable(reply: bytes):
    async with Answer(reply) as server:
        assert (await refused(store_of(s3_at(server.host), KEYS)))[0] == "Unreachable"


async def test_an_object_without_a_size_is_refused():
    """Its end could be the end of anything."""
    async with Answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello") as server:
        assert "has no Content-Length" in (await refused(store_of(s3_at(server.host), KEYS)))[1]


@pytest.mark.parametrize("field", ["accessKeySecret", "secretKeySecret", "sessionTokenSecret"])
async def test_a_key_never_adds_a_header(store: Store, field: str):
    for value in ("a\r\nHost: other", "a b", "é", "x" * 20_000):
        reason, said = await refused(store_of(store.s3(), {**KEYS, field: value}))
        assert (reason, said.endswith("have no valid credentials")) == ("Refused", True)
    assert store.requests == []


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "100.100.100.200"]
)
@pytest.mark.parametrize("loopback", [True, False])
def test_a_metadata_service_is_never_contacted(host: str, loopback: bool):
    with pytest.raises(ArtifactError, match="is never contacted"):
        DirectStore(s3_at(host), KEYS, loopback=loopback)


async def test_a_name_of_this_machine_is_contacted_only_where_that_is_permitted(store: Store):
    port = store.host.partition(":")[2]
    resolver = GuardedResolver(loopback=False)
    with pytest.raises(RefusedAddressError, match="its name leads to an address of this machine itself"):
        await resolver.resolve("localhost", int(port))
    assert await GuardedResolver(loopback=True).resolve("localhost", int(port))


async def test_a_name_that_leads_to_a_refused_address(store: Store, monkeypatch: pytest.MonkeyPatch):
    """The name passes all checks of its form; what it leads to is checked for the connection that is made."""
    where = s3_at("store.example:{}".format(store.host.partition(":")[2]))

    async def resolve(self: object, host: str, port: int = 0, family: object = None) -> list[dict[str, object]]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 6, "flags": 0}]

    monkeypatch.setattr("aiohttp.ThreadedResolver.resolve", resolve)
    reason, said = await refused(store_of(where, KEYS))
    assert (reason, said.partition(": ")[2]) == (
        "Refused",
        "its name leads to an address of this machine itself, which is never contacted",
    )
    assert store.requests == []
    assert await given(partial(DirectStore, where, KEYS, loopback=True)) == b"hello"
