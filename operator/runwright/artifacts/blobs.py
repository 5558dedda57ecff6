"""Opens, streams and lists objects of AWS, Google Cloud and Azure with obstore, and maps its errors to ArtifactError.

The clouds' own hosts only: obstore follows redirects, and reads the whole body of an error (direct.py is for other servers).
Each host is a fixed name of a cloud, or that with labels in front which places.py has validated.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import AzureStore, GCSStore, S3Store

from runwright.artifacts.places import (
    AWS_REGION,
    ArtifactError,
    AzurePlace,
    GcsPlace,
    S3Place,
    StorePlace,
    quote_name,
)
from runwright.artifacts.signing import SIGNATURE
from runwright.artifacts.stores import (
    CONNECT_SECONDS,
    OWN_IDENTITY,
    READ_SECONDS,
    Opened,
    missing,
    refused_key,
)
from runwright.kube.objects import as_mapping, as_text

if TYPE_CHECKING:
    from obstore.store import (
        AzureAccessKey,
        AzureSASToken,
        ClientConfig,
        RetryConfig,
        S3Config,
        S3Credential,
    )

# Its list function can return Arrow tables, which have no type for pyright.
library = cast(Any, obstore)

CHUNK = 256 * 1024
"""Minimum bytes of a chunk of an object, except the last one."""

RETRIES: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}


class Blobs:
    """The bucket or container of a place in a cloud.

    Its methods raise ArtifactError: ObjectNotFound, Refused, Unreachable.
    """

    def __init__(self, place: StorePlace, secrets: Mapping[str, str]) -> None:
        """`secrets` are the values of the place's `secrets`. Makes no request."""
        self._place, self._secrets = place, secrets
        self._store: S3Store | GCSStore | AzureStore | None = None

    async def open(self, key: str) -> Opened:
        """Opens the object with this key; its chunks are fetched on demand."""
        try:
            found = await obstore.get_async(await self._connected(), key)
        except Exception as error:
            # S3 returns the region of a bucket in the error for a request to another region.
            region = REGION.search(str(error))
            if (
                region is None
                or not isinstance(self._place, S3Place)
                or self._place.region
                or not AWS_REGION.fullmatch(region[1])
                or not is_store_error(error)
            ):
                raise self._failure(error, key) from None
            self._store = await asyncio.to_thread(s3_store, self._place, self._secrets, region[1])
            try:
                found = await obstore.get_async(self._store, key)
            except Exception as again:
                raise self._failure(again, key) from None
        return Opened(found.meta["size"], self._chunks(found, key))

    async def close(self) -> None:
        """Nothing: obstore closes connections that are idle."""

    async def list(self, folder: str) -> AsyncGenerator[tuple[str, int]]:
        """Key and size of each object under a folder, with or without a trailing `/`."""
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
            # In a thread: it reads the machine's certificates, which takes milliseconds.
            self._store = await asyncio.to_thread(connect_store, self._place, self._secrets)
        return self._store

    def _failure(self, error: Exception, key: str) -> ArtifactError:
        return to_artifact_error(error, self._place, key)


# -------------------------------------------------------------------------------------------------------------- stores
def connect_store(place: StorePlace, secrets: Mapping[str, str]) -> S3Store | GCSStore | AzureStore:
    """Creates obstore's store for a place.

    With credentials from Secrets, it uses none of the environment's: neither a session token nor an endpoint.
    """
    match place:
        case S3Place():
            return s3_store(place, secrets)
        case GcsPlace():
            if secrets:
                key = service_account_key(secrets["serviceAccountKeySecret"])
                return GCSStore(
                    place.bucket, service_account_key=key, client_options=client_options(), retry_config=RETRIES
                )
            return GCSStore(place.bucket, client_options=client_options(), retry_config=RETRIES)
        case AzurePlace():
            provider = azure_credentials(secrets["accountKeySecret"]) if secrets else None
            return AzureStore(
                place.container,
                account_name=place.account,
                endpoint=place.endpoint.url,
                client_options=client_options(),
                retry_config=RETRIES,
                credential_provider=provider,
            )


def s3_store(place: S3Place, secrets: Mapping[str, str], region: str = "") -> S3Store:
    """Creates a store for AWS, with the bucket in the host name if it can be, as in Argo (3.7)."""
    region = region or place.own_region
    url = place.server(region).url
    config: S3Config = {
        "endpoint": url,
        "aws_endpoint_url_s3": url,  # else AWS_ENDPOINT_URL_S3 would win
        "virtual_hosted_style_request": place.virtual,
    }
    if region:
        config["region"] = region
    if secrets.get("accessKeySecret"):
        config["skip_signature"] = False
    return S3Store(
        place.bucket,
        config=config,
        client_options=client_options(secrets.get("caSecret", "")),
        retry_config=RETRIES,
        credential_provider=s3_credentials(secrets) if secrets.get("accessKeySecret") else None,
    )


SERVICE_ACCOUNT_FIELDS = ("type", "client_email", "private_key", "private_key_id")


def service_account_key(text: str) -> str:
    """The key of a service account, reduced to its identity: other fields can name another host, or send no signature.

    Raises ValueError.
    """
    try:
        key = as_mapping(json.loads(text))
    except (ValueError, RecursionError):
        raise ValueError("InvalidKey: expected the key of a service account") from None
    return json.dumps({name: as_text(key.get(name)) for name in SERVICE_ACCOUNT_FIELDS if name in key})


def s3_credentials(secrets: Mapping[str, str]) -> Callable[[], S3Credential]:
    """Credential provider for the keys in the Secrets."""

    def provide() -> S3Credential:
        return {
            "access_key_id": secrets["accessKeySecret"].strip(),
            "secret_access_key": secrets["secretKeySecret"].strip(),
            "token": secrets.get("sessionTokenSecret"),
            "expires_at": None,
        }

    return provide


def azure_credentials(key: str) -> Callable[[], AzureAccessKey | AzureSASToken]:
    """Credential provider for an account key or a shared access signature."""

    def provide() -> AzureAccessKey | AzureSASToken:
        if SIGNATURE.search(key):
            return {"sas_token": key.strip().removeprefix("?"), "expires_at": None}
        return {"access_key": key.strip(), "expires_at": None}

    return provide


def client_options(authority: str = "") -> ClientConfig:
    """Connection options of obstore, over TLS only; `authority` is the PEM of a CA."""
    options: ClientConfig = {
        "allow_http": False,
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
"""Matches obstore's errors about invalid credentials, which it raises before it sends a request."""

IDENTITY_KIND = {S3Place: "s3", GcsPlace: "gcs", AzurePlace: "azure"}


def is_store_error(error: Exception) -> bool:
    """Whether obstore can raise this error; it raises FileNotFoundError for a missing object."""
    return isinstance(error, BaseError | OSError | ValueError)


def to_artifact_error(error: Exception, place: StorePlace, key: str) -> ArtifactError:
    """Maps an error of obstore to an ArtifactError that tells users what to do; raises any other error again."""
    if not is_store_error(error):
        raise error
    said = str(error)
    code, status = first_group(CODE, said), first_group(STATUS, said)
    where = f"bucket {place.store}" if not isinstance(place, AzurePlace) else f"container {place.store}"
    if isinstance(error, FileNotFoundError) and (gone := missing(where, key, code)) is not None:
        return gone
    if not status and "root_certificate" in said:
        return ArtifactError("Refused", f"{where}: expected PEM certificates in the Secret that caSecret names")
    if not status and not place.own_identity and BAD_CREDENTIALS.search(said):
        named = ", ".join(field for field in place.secrets if field != "caSecret")
        return ArtifactError("Refused", f"{where}: the Secrets that {named} names have no valid credentials")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError | FileNotFoundError) or status.startswith("4"):
        return refused_key(where, key, code, status)
    if place.own_identity and re.search("credential|metadata|identity|token", said, re.IGNORECASE) and not status:
        return ArtifactError(
            "Refused",
            f"{where}: the Workflow names no Secret for it, and this process has no credentials of its own; "
            f"expected {OWN_IDENTITY[IDENTITY_KIND[type(place)]]}",
        )
    if isinstance(error, ValueError):
        return ArtifactError("Unsupported", f"{where}: the key {quote_name(key)} is not supported")
    if re.search("certificate|UnknownIssuer|InvalidContentType|CaUsedAsEndEntity", said):
        return ArtifactError("Unreachable", f"{where}: the TLS connection is not trusted; check caSecret and insecure")
    return ArtifactError("Unreachable", f"{where} does not answer{f' (HTTP {status})' if status else ''}")


def first_group(pattern: re.Pattern[str], said: str) -> str:
    """The text that the pattern's group matches, or an empty string."""
    found = pattern.search(said)
    return found[1] if found else ""
