"""Objects of S3, GCS and Azure, through obstore: opened, streamed, listed, and what goes wrong in a user's words.

What a store says is passed on as its error code alone: its text may hold the request, signature and access key included.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import AzureStore, GCSStore, S3Store

from runwright.artifacts.places import ArtifactError, AzurePlace, GcsPlace, S3Place, quote_name

if TYPE_CHECKING:
    from obstore.store import (
        AzureAccessKey,
        AzureSASToken,
        ClientConfig,
        RetryConfig,
        S3Config,
        S3Credential,
    )

# Its listing may give tables of Arrow, of which pyright knows no type.
library = cast(Any, obstore)

StorePlace = S3Place | GcsPlace | AzurePlace

CHUNK = 256 * 1024
"""The least bytes in one chunk of an object, its last one aside."""

RETRIES: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}

CONNECT_SECONDS, READ_SECONDS = 5, 60
"""How long a connection may take, and how long a store may stay silent; there is no limit on the whole of an object."""

OWN_IDENTITY = {
    S3Place: "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a web identity, or the node's role",
    GcsPlace: "GOOGLE_APPLICATION_CREDENTIALS, or workload identity",
    AzurePlace: "AZURE_CLIENT_ID and what belongs to it, or workload identity",
}


@dataclass(frozen=True, slots=True)
class Opened:
    """An object that is there."""

    size: int
    chunks: AsyncIterator[bytes]


class Blobs:
    """The bucket or container of a place.

    Its methods raise ArtifactError: ObjectNotFound, Refused, Unreachable.
    """

    def __init__(self, place: StorePlace, secrets: Mapping[str, str]) -> None:
        """`secrets` are the values that the place's `secrets` stand for. Makes no request."""
        self._place, self._secrets = place, secrets
        self._store: S3Store | GCSStore | AzureStore | None = None

    async def open(self, key: str) -> Opened:
        """The object of this key; its bytes come as they are asked for."""
        try:
            found = await obstore.get_async(await self._connected(), key)
        except Exception as error:
            # S3 says in which region a bucket is when it was asked in another one.
            region = REGION.search(str(error))
            if (
                region is None
                or not isinstance(self._place, S3Place)
                or self._place.region
                or not is_store_error(error)
            ):
                raise self._failure(error, key) from None
            self._store = await asyncio.to_thread(s3_store, self._place, self._secrets, region[1])
            try:
                found = await obstore.get_async(self._store, key)
            except Exception as again:
                raise self._failure(again, key) from None
        return Opened(found.meta["size"], self._chunks(found, key))

    async def list(self, folder: str) -> AsyncIterator[tuple[str, int]]:
        """Key and size of each object under a folder, `/` at its end or not."""
        try:
            async for page in library.list(await self._connected(), folder.rstrip("/")):
                for meta in page:
                    yield meta["path"], meta["size"]
        except Exception as error:
            raise self._failure(error, folder) from None

    async def _chunks(self, found: obstore.GetResult, key: str) -> AsyncIterator[bytes]:
        try:
            async for chunk in found.stream(min_chunk_size=CHUNK):
                yield bytes(chunk)
        except Exception as error:
            raise self._failure(error, key) from None

    async def _connected(self) -> S3Store | GCSStore | AzureStore:
        if self._store is None:
            # It reads the machine's certificates: milliseconds.
            self._store = await asyncio.to_thread(connect_store, self._place, self._secrets)
        return self._store

    def _failure(self, error: Exception, key: str) -> ArtifactError:
        return to_artifact_error(error, self._place, key)


# -------------------------------------------------------------------------------------------------------------- stores
def connect_store(place: StorePlace, secrets: Mapping[str, str]) -> S3Store | GCSStore | AzureStore:
    """The library's store for a place.

    Where Secrets give the credentials, nothing of the environment's gets beside them: not its session token, nor another
    endpoint.
    """
    match place:
        case S3Place():
            return s3_store(place, secrets)
        case GcsPlace():
            if secrets:
                key = secrets["serviceAccountKeySecret"]
                return GCSStore(
                    place.bucket, service_account_key=key, client_options=client_options(), retry_config=RETRIES
                )
            return GCSStore(place.bucket, client_options=client_options(), retry_config=RETRIES)
        case AzurePlace():
            provider = azure_credentials(secrets["accountKeySecret"]) if secrets else None
            return AzureStore(
                place.container,
                account_name=place.account,
                endpoint=place.endpoint.rstrip("/"),
                client_options=client_options(plain=place.endpoint.startswith("http://")),
                retry_config=RETRIES,
                credential_provider=provider,
            )


AWS = re.compile(r"s3[.-](dualstack\.)?(?P<region>[a-z]{2}(-[a-z]+)+-[0-9]+)\.amazonaws\.com(\.cn)?")


def s3_store(place: S3Place, secrets: Mapping[str, str], region: str = "") -> S3Store:
    """A store of S3. AWS is asked by the bucket's own host name, all others by a path, as Argo's client does it (3.7)."""
    named = AWS.fullmatch(place.endpoint)
    region = region or place.region or (named["region"] if named else "")
    host = place.endpoint
    if host == "s3.amazonaws.com" and region:
        host = f"s3.{region}.amazonaws.com"
    virtual = ".amazonaws.com" in host and "." not in place.bucket
    url = f"{'http' if place.insecure else 'https'}://{f'{place.bucket}.' if virtual else ''}{host}"
    config: S3Config = {
        "endpoint": url,
        "aws_endpoint_url_s3": url,  # else AWS_ENDPOINT_URL_S3 would win
        "virtual_hosted_style_request": virtual,
    }
    if region:
        config["region"] = region
    if secrets.get("accessKeySecret"):
        config["skip_signature"] = False
    return S3Store(
        place.bucket,
        config=config,
        client_options=client_options(plain=place.insecure, authority=secrets.get("caSecret", "")),
        retry_config=RETRIES,
        credential_provider=s3_credentials(secrets) if secrets.get("accessKeySecret") else None,
    )


def s3_credentials(secrets: Mapping[str, str]) -> Callable[[], S3Credential]:
    """Fixed keys."""

    def provide() -> S3Credential:
        return {
            "access_key_id": secrets["accessKeySecret"].strip(),
            "secret_access_key": secrets["secretKeySecret"].strip(),
            "token": secrets.get("sessionTokenSecret"),
            "expires_at": None,
        }

    return provide


SIGNATURE = re.compile(r"(\?|&)[^=]+=[^&]+")
"""What tells a shared access signature from an account's key (Argo 3.7, `isSASAccountKey`)."""


def azure_credentials(key: str) -> Callable[[], AzureAccessKey | AzureSASToken]:
    """The account's key, or a shared access signature."""

    def provide() -> AzureAccessKey | AzureSASToken:
        if SIGNATURE.search(key):
            return {"sas_token": key.strip().removeprefix("?"), "expires_at": None}
        return {"access_key": key.strip(), "expires_at": None}

    return provide


def client_options(plain: bool = False, authority: str = "") -> ClientConfig:
    """How the library connects: over HTTP without TLS only where that is asked for; `authority` is a CA's PEM."""
    options: ClientConfig = {
        "allow_http": plain,
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "read_timeout": timedelta(seconds=READ_SECONDS),
        "timeout": timedelta(days=7),
    }
    if authority:
        options["root_certificate"] = authority
    return options


# ------------------------------------------------------------------------------------------------------------ failures
CODE = re.compile(r"<Code>([A-Za-z0-9]{1,64})</Code>")
STATUS = re.compile(r"status code: ([0-9]{3})")
REGION = re.compile(r"<Region>([a-z0-9-]{1,40})</Region>")
BAD_CREDENTIALS = re.compile("Credential|CryptoProvider|InvalidKey|credential provider")
"""In the library's errors about keys that cannot be read as such, which it finds out before it asks the store."""

NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
NO_OBJECT = ("NoSuchKey", "BlobNotFound", "ResourceNotFound", "")


def is_store_error(error: Exception) -> bool:
    """Whether the error is one of the library's, or of a file that is not there: its name for an object that is not."""
    return isinstance(error, BaseError | OSError | ValueError)


def to_artifact_error(error: Exception, place: StorePlace, key: str) -> ArtifactError:
    """The library's error as a user can act on it; what is none of its kind is passed on as it is."""
    if not is_store_error(error):
        raise error
    said = str(error)
    code, status = first_group(CODE, said), first_group(STATUS, said)
    where = f"bucket {place.store}" if not isinstance(place, AzurePlace) else f"container {place.store}"
    if isinstance(error, FileNotFoundError) and code in NO_BUCKET:
        return ArtifactError("ObjectNotFound", f"{where} is not there")
    if isinstance(error, FileNotFoundError) and code in NO_OBJECT:
        return ArtifactError("ObjectNotFound", f"{where} has no object of the key {quote_name(key)}")
    if not status and "root_certificate" in said:
        return ArtifactError("Refused", f"{where}: expected certificates in PEM in the Secret that caSecret names")
    if not status and not place.own_identity and BAD_CREDENTIALS.search(said):
        named = ", ".join(field for field in place.secrets if field != "caSecret")
        return ArtifactError("Refused", f"{where}: expected credentials in what {named} names, found what are none")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError | FileNotFoundError) or status.startswith("4"):
        told = ", ".join(part for part in (code, f"HTTP {status}" if status else "") if part)
        return ArtifactError(
            "Refused", f"{where} refused to give the key {quote_name(key)}{f' ({told})' if told else ''}"
        )
    if place.own_identity and re.search("credential|metadata|identity|token", said, re.IGNORECASE) and not status:
        return ArtifactError(
            "Refused",
            f"{where}: no Secret is named for it, and there is no identity here to read with; "
            f"expected {OWN_IDENTITY[type(place)]}",
        )
    if isinstance(error, ValueError):
        return ArtifactError("Unsupported", f"{where}: the key {quote_name(key)} cannot be asked for")
    if re.search("certificate|UnknownIssuer|InvalidContentType|CaUsedAsEndEntity", said):
        return ArtifactError(
            "Unreachable", f"{where}: no TLS connection that is trusted; is caSecret or insecure missing?"
        )
    return ArtifactError("Unreachable", f"{where} does not answer{f' (HTTP {status})' if status else ''}")


def first_group(pattern: re.Pattern[str], said: str) -> str:
    """What the pattern's group matches, or an empty string."""
    found = pattern.search(said)
    return found[1] if found else ""
