"""Opens and lists objects on servers that no cloud runs, such as MinIO: no redirect is followed, and each reply is bounded.

obstore follows redirects and reads the whole body of an error, and no option of it changes that. It is used for the clouds' own
hosts only (blobs.py). A redirect of any other server could lead anywhere, with a session token in the request.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from functools import cache
from urllib.parse import parse_qsl
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override
from yarl import URL

from runwright.artifacts.hosts import literal_address, names_this_machine, refused_address
from runwright.artifacts.listing import AZURE_LISTING, S3_LISTING, ListingError, ObjectPage, parse_listing
from runwright.artifacts.places import REGION, ArtifactError, AzurePlace, S3Place, quote_name
from runwright.artifacts.signing import SIGNATURE, S3Keys, azure_headers, escaped, query_string, sign_azure, sign_s3
from runwright.artifacts.stores import CONNECT_SECONDS, OWN_IDENTITY, READ_SECONDS, Opened, missing, refused_key

DirectPlace = S3Place | AzurePlace

PIECE_BYTES = 256 * 1024
"""Minimum bytes of a chunk of an object, except the last one."""

MAX_ERROR = 64 * 1024
"""Bytes that are read of the body of an error."""

MAX_AUTHORITY = 256 * 1024
"""Characters of certificates in a Secret: about the bundle of a Linux distribution."""

MAX_LISTING = 8 * 1024 * 1024
"""Bytes of a page of a list: 1,000 keys of 1 KiB, escaped."""

ATTEMPTS, RETRY_SECONDS = 3, 0.3
"""Attempts of a request, until the server replies without a 5xx status; seconds before the second one."""

DEFAULT_REGION = "us-east-1"
CREDENTIAL = re.compile(r"[\x21-\x7e]{1,16384}")
"""Keys and tokens of S3: they become a part of headers."""

ERROR_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")
ERROR_REGION = re.compile(rb"<Region>([a-z0-9-]{1,40})</Region>")


class RefusedAddressError(OSError):
    """A name leads to an address that is never contacted."""


class GuardedResolver(AbstractResolver):
    """Resolves names, and refuses one that leads to an address which is never contacted (hosts.py)."""

    def __init__(self, *, loopback: bool) -> None:
        self._loopback = loopback
        self._resolver = aiohttp.ThreadedResolver()

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for one in found:
            address = ipaddress.ip_address(one["host"].partition("%")[0])
            if why := refused_address(address, loopback=self._loopback):
                raise RefusedAddressError(f"its name leads to {why}")
        return found

    @override
    async def close(self) -> None:
        await self._resolver.close()


class DirectStore:
    """The bucket or container of a place. Close it after use.

    Its methods raise ArtifactError: ObjectNotFound, Refused, Unreachable.
    """

    def __init__(self, place: DirectPlace, secrets: Mapping[str, str], *, loopback: bool) -> None:
        """`secrets` are the values of the place's `secrets`; `loopback` permits names that lead to this machine itself.

        Makes no request. Raises ArtifactError for credentials or an address that cannot be used.
        """
        self._place = place
        self._authority = secrets.get("caSecret", "")
        self._where = f"bucket {place.store}" if isinstance(place, S3Place) else f"container {place.store}"
        self._region = ""
        self._session: aiohttp.ClientSession | None = None
        host = place.endpoint.host
        self._loopback = loopback or names_this_machine(host)
        address = literal_address(host)
        if address is not None and (why := refused_address(address, loopback=self._loopback)):
            raise ArtifactError("Refused", f"{self._where}: {why} is never contacted")
        if isinstance(place, S3Place):
            self._keys = s3_keys(place, secrets, self._where)
            self._region = place.region or (os.environ.get("AWS_REGION", "") if place.own_identity else "")
        else:
            self._account_key = secrets["accountKeySecret"].strip()

    async def close(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()

    async def open(self, key: str) -> Opened:
        """Opens the object with this key; its chunks are fetched on demand."""
        reply = await self._get(f"/{escaped(key, '/')}", {}, key)
        size = reply.content_length
        if size is None:
            reply.close()
            raise ArtifactError("Unreachable", f"{self._where}: the reply for {quote_name(key)} has no Content-Length")
        return Opened(size, self._chunks(reply))

    async def list(self, folder: str) -> AsyncGenerator[tuple[str, int]]:
        """Key and size of each object under a folder, with or without a trailing `/`."""
        marker, seen = "", set[str]()
        while True:
            page = await self._page(f"{folder.rstrip('/')}/", marker)
            for entry in page.objects:
                yield entry
            marker = page.next_page
            if not marker:
                return
            if marker in seen:
                raise ArtifactError("Unreachable", f"{self._where}: its list of objects has no end")
            seen.add(marker)

    async def _page(self, prefix: str, marker: str) -> ObjectPage:
        if isinstance(self._place, S3Place):
            names, query = S3_LISTING, {"list-type": "2", "prefix": prefix}
            query |= {"continuation-token": marker} if marker else {}
        else:
            names, query = AZURE_LISTING, {"restype": "container", "comp": "list", "prefix": prefix}
            query |= {"marker": marker} if marker else {}
        reply = await self._get("", query, prefix)
        data = bytearray()
        async with aclosing(self._chunks(reply)) as chunks:
            async for chunk in chunks:
                data += chunk
                if len(data) > MAX_LISTING:
                    raise ArtifactError("Unreachable", f"{self._where}: its list of objects is too large")
        try:
            return await asyncio.to_thread(parse_listing, bytes(data), names)
        except ListingError as error:
            raise ArtifactError("Unreachable", f"{self._where}: its list of objects is invalid: {error}") from None

    async def _chunks(self, reply: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
        try:
            async with reply:
                waiting = bytearray()
                async for part in reply.content.iter_any():
                    waiting += part
                    if len(waiting) >= PIECE_BYTES:
                        yield bytes(waiting)
                        waiting.clear()
                if waiting:
                    yield bytes(waiting)
        except (aiohttp.ClientError, OSError, TimeoutError):
            raise ArtifactError("Unreachable", f"{self._where}: the transfer was interrupted") from None

    # ---------------------------------------------------------------------------------------------------- requests
    async def _get(self, path: str, query: dict[str, str], key: str) -> aiohttp.ClientResponse:
        """A reply with status 200. Its caller closes it."""
        failed = f"{self._where} does not answer"
        attempt = 0
        while attempt < ATTEMPTS:
            attempt += 1
            if attempt > 1:
                await asyncio.sleep(RETRY_SECONDS * attempt)
            try:
                reply = await self._send(path, query)
            except aiohttp.ClientSSLError as error:
                raise ArtifactError(
                    "Unreachable", f"{self._where}: the TLS connection is not trusted; check caSecret and insecure"
                ) from error
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                cause = getattr(error, "os_error", error)
                if isinstance(cause, RefusedAddressError):
                    raise ArtifactError("Refused", f"{self._where}: {cause}, which is never contacted") from None
                continue
            if reply.status == 200:
                return reply
            status, body = reply.status, await error_body(reply)
            if self._learn_region(body):
                attempt -= 1
            elif status < 500:
                raise self._refusal(status, body, key)
            failed = f"{self._where} does not answer (HTTP {status})"
        raise ArtifactError("Unreachable", failed)

    async def _send(self, path: str, query: dict[str, str]) -> aiohttp.ClientResponse:
        place, now = self._place, datetime.now(UTC)
        host = place.endpoint.authority
        full = "".join(f"/{escaped(part, '$')}" for part in place.path) + path
        if isinstance(place, S3Place):
            headers = sign_s3(host, full, query, self._region or DEFAULT_REGION, self._keys, now)
        elif SIGNATURE.search(self._account_key):
            query = {**query, **dict(parse_qsl(self._account_key.removeprefix("?")))}
            headers = azure_headers(now)
        else:
            try:
                headers = sign_azure(place.account, self._account_key, full, query, now)
            except ValueError:
                raise no_credentials(self._where, "accountKeySecret") from None
        url = URL(f"{place.endpoint.url}{full}{'?' + query_string(query) if query else ''}", encoded=True)
        if url.host != place.endpoint.host or url.port != place.endpoint.port:
            raise ArtifactError("Unsupported", f"{self._where}: expected the address of an object store")
        session = await self._connected()
        # Connection, TLS, and the first byte of the reply; then each read has its own timeout.
        return await session.get(url, headers={**headers, "Accept-Encoding": "identity"}, allow_redirects=False)

    async def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            endpoint = self._place.endpoint
            # In a thread: it reads the machine's certificates, which takes milliseconds.
            context = await asyncio.to_thread(tls_context, self._authority, self._where) if endpoint.tls else False
            proxy = getproxies().get("https" if endpoint.tls else "http", "")
            proxy = "" if proxy and proxy_bypass(f"{endpoint.host}:{endpoint.port}") else proxy
            # A proxy, which the admin of this process has set, resolves the names itself.
            resolver = None if proxy else GuardedResolver(loopback=self._loopback)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=2, ssl=context, resolver=resolver),
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS
                ),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                proxy=proxy or None,
            )
        return self._session

    def _learn_region(self, body: bytes) -> bool:
        """Takes the region of a bucket from an error, as S3 returns it; False if there is nothing to learn."""
        found = ERROR_REGION.search(body)
        if found is None or self._region or not REGION.fullmatch(found[1].decode()):
            return False
        self._region = found[1].decode()
        return True

    def _refusal(self, status: int, body: bytes, key: str) -> ArtifactError:
        found = ERROR_CODE.search(body)
        code = found[1].decode() if found else ""
        if 300 <= status < 400:
            return ArtifactError(
                "Refused", f"{self._where}: expected an object, found a redirect (HTTP {status}), which is not followed"
            )
        if status == 404 and (error := missing(self._where, key, code)) is not None:
            return error
        return refused_key(self._where, key, code, str(status))


async def error_body(reply: aiohttp.ClientResponse) -> bytes:
    """The start of the body of an error; the connection is closed, whatever else the server would send."""
    data = bytearray()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            async for part in reply.content.iter_any():
                data += part[: MAX_ERROR - len(data)]
                if len(data) >= MAX_ERROR:
                    break
    except (aiohttp.ClientError, OSError, TimeoutError):
        pass
    reply.close()
    return bytes(data)


@cache
def machine_context() -> ssl.SSLContext:
    """Trusts the certificate authorities of this machine. Made once: reading them takes tens of milliseconds."""
    return ssl.create_default_context()


def tls_context(authority: str, where: str) -> ssl.SSLContext:
    """Trusts the certificate authority of `caSecret` alone, as Argo does, or else those of this machine."""
    if not authority:
        return machine_context()
    try:
        return ssl.create_default_context(cadata=authority[:MAX_AUTHORITY])
    except (ssl.SSLError, ValueError):
        raise ArtifactError(
            "Refused", f"{where}: expected PEM certificates in the Secret that caSecret names"
        ) from None


def s3_keys(place: S3Place, secrets: Mapping[str, str], where: str) -> S3Keys:
    """The keys of the Secrets, or else of this process. Raises ArtifactError."""
    if place.own_identity:
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        access, secret, token = (os.environ.get(name, "").strip() for name in names)
        if not access or not secret:
            raise ArtifactError(
                "Refused",
                f"{where}: the Workflow names no Secret for it, and this process has no credentials of its own; "
                f"expected {OWN_IDENTITY['server']}",
            )
    else:
        fields = ("accessKeySecret", "secretKeySecret", "sessionTokenSecret")
        access, secret, token = (secrets.get(field, "").strip() for field in fields)
    if not CREDENTIAL.fullmatch(access) or not CREDENTIAL.fullmatch(secret) or not CREDENTIAL.fullmatch(token or "-"):
        raise no_credentials(where, ", ".join(field for field in place.secrets if field != "caSecret"))
    return S3Keys(access, secret, token)


def no_credentials(where: str, fields: str) -> ArtifactError:
    """The error for values of Secrets that are no credentials."""
    named = f"the Secrets that {fields} names have" if fields else "the environment of this process has"
    return ArtifactError("Refused", f"{where}: {named} no valid credentials")
