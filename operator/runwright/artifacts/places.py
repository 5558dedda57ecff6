"""Parses the fields of Argo's `ArtifactLocation` (3.7) into places in object stores, and validates them before any request.

Tenants write these fields, so no field is used as a path, and each error names the field and the expected value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from runwright.artifacts.hosts import EXPECTED_HOST, HOST_LABEL, Endpoint, parse_endpoint, parse_url
from runwright.kube.objects import Json, as_mapping, as_text

Reason = Literal[
    "NodeNotFound",
    "ArtifactNotFound",
    "ArtifactCollected",
    "Refused",
    "ObjectNotFound",
    "Unsupported",
    "TooLarge",
    "Unreachable",
]


class ArtifactError(Exception):
    """An artifact cannot be read. The message is for users: it contains no secret and nothing that they may not read."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A key of a Secret in the Workflow's namespace."""

    name: str
    key: str


Secrets = Mapping[str, SecretKey]
"""Secrets by the field that names them."""


@dataclass(frozen=True, slots=True)
class S3Place:
    """An object in a bucket of S3 or of a compatible server."""

    endpoint: Endpoint
    """The server as the location names it."""
    bucket: str
    key: str
    region: str
    """Empty, or a region of AWS; for another server, a word that only the signature contains."""
    secrets: Secrets
    """Of accessKeySecret, secretKeySecret, sessionTokenSecret, caSecret."""

    @property
    def cloud(self) -> bool:
        """Whether AWS runs the server."""
        return AWS_HOST.fullmatch(self.endpoint.host) is not None

    @property
    def virtual(self) -> bool:
        """Whether the bucket is in the host name, as in Argo (3.7): in AWS, if the name is a label of a DNS name."""
        return self.cloud and HOST_LABEL.fullmatch(self.bucket) is not None

    @property
    def own_region(self) -> str:
        """The region of the location, or of its host; empty if neither has one."""
        named = AWS_HOST.fullmatch(self.endpoint.host)
        return self.region or (named["region"] or "" if named else "")

    def server(self, region: str = "") -> Endpoint:
        """The server that is contacted, for a bucket in this region of AWS."""
        host = self.endpoint.host
        region = region or self.own_region
        if host == "s3.amazonaws.com" and region:
            host = f"s3.{region}.amazonaws.com"
        return replace(self.endpoint, host=f"{self.bucket}.{host}" if self.virtual else host)

    @property
    def path(self) -> tuple[str, ...]:
        """The bucket, as segments of a path."""
        return (self.bucket,)

    @property
    def store(self) -> str:
        """HOST/BUCKET."""
        return f"{self.endpoint.authority}/{self.bucket}"

    @property
    def own_identity(self) -> bool:
        """Whether it is read with the identity of this process, because the Workflow names no credentials."""
        return "accessKeySecret" not in self.secrets


@dataclass(frozen=True, slots=True)
class GcsPlace:
    """An object in a bucket of Google Cloud Storage."""

    bucket: str
    key: str
    secrets: Secrets
    """Of serviceAccountKeySecret."""

    @property
    def endpoint(self) -> Endpoint:
        """The server: always Google's."""
        return GCS_ENDPOINT

    @property
    def cloud(self) -> bool:
        """Google runs the server."""
        return True

    @property
    def path(self) -> tuple[str, ...]:
        """The bucket, as segments of a path."""
        return (self.bucket,)

    @property
    def store(self) -> str:
        """HOST/BUCKET."""
        return f"{GCS_ENDPOINT.authority}/{self.bucket}"

    @property
    def own_identity(self) -> bool:
        """Whether it is read with the identity of this process, because the Workflow names no credentials."""
        return not self.secrets


@dataclass(frozen=True, slots=True)
class AzurePlace:
    """A blob in a container of an Azure storage account."""

    endpoint: Endpoint
    """The account's blob service."""
    segment: str
    """The path of the endpoint: empty, or the account on a server for several accounts."""
    container: str
    key: str
    secrets: Secrets
    """Of accountKeySecret: the account's key, or a shared access signature."""

    @property
    def cloud(self) -> bool:
        """Whether Azure runs the server."""
        return self.endpoint.tls and not self.segment and AZURE_HOST.fullmatch(self.endpoint.host) is not None

    @property
    def account(self) -> str:
        """The storage account: the path of the endpoint, or else the first label of its host, as in Argo (3.7)."""
        return self.segment or self.endpoint.host.partition(".")[0]

    @property
    def path(self) -> tuple[str, ...]:
        """The container, as segments of a path."""
        return (self.segment, self.container) if self.segment else (self.container,)

    @property
    def store(self) -> str:
        """HOST/CONTAINER."""
        return "/".join((self.endpoint.authority, *self.path))

    @property
    def own_identity(self) -> bool:
        """Whether it is read with the identity of this process, because the Workflow names no credentials."""
        return not self.secrets


@dataclass(frozen=True, slots=True)
class RawPlace:
    """An artifact in the Workflow itself."""

    data: str


StorePlace = S3Place | GcsPlace | AzurePlace
Place = StorePlace | RawPlace


# ---------------------------------------------------------------------------------------------------- fields of a place
S3_BUCKET = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,253}[A-Za-z0-9])?")
CONTAINER = re.compile(r"\$(root|web|logs)|[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
REGION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")
"""What a server other than AWS may call its region: it is a part of the signature, never of a host."""

AWS_REGION = re.compile(r"[a-z]{2}(-[a-z]{2,12}){1,3}-[0-9]{1,2}")
AWS_HOST = re.compile(
    rf"s3(-fips)?([.-]dualstack)?([.-](?P<region>{AWS_REGION.pattern}))?\.(?P<partition>amazonaws\.com(\.cn)?)"
)
"""Hosts of S3 itself. Other hosts under amazonaws.com, such as those of API gateways, can belong to a customer of AWS."""

AZURE_HOST = re.compile(
    r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.z[0-9]{1,3})?\.(blob|dfs)"
    r"\.(core\.windows\.net|core\.chinacloudapi\.cn|core\.usgovcloudapi\.net|storage\.azure\.net)"
)
"""Hosts of Azure Storage. They get a token of this process's own identity. Anybody who gets a token can use it."""

GCS_ENDPOINT = Endpoint("storage.googleapis.com", 443, True)

MAX_KEY = 1024
"""Maximum bytes of a key in S3 and GCS; in Azure, characters."""


def parse_place(kind: str, fields: Json, origin: str) -> Place:
    """Parses the fields of a location. `origin` names their source in messages.

    Raises:
        ArtifactError: the kind is not supported, or a field is invalid.
    """
    given = Fields(fields, f"{origin}: {kind}")
    match kind:
        case "s3":
            given.refuse("roleARN", unless="accessKeySecret")
            encryption = as_mapping(fields.get("encryptionOptions"))
            if encryption.get("serverSideCustomerKeySecret") is not None:
                raise given.wrong("encryptionOptions.serverSideCustomerKeySecret", "no key of a customer's own (SSE-C)")
            return parse_s3(given)
        case "gcs":
            secrets = given.secrets("serviceAccountKeySecret")
            bucket = given.matching("bucket", S3_BUCKET, "the name of a bucket or container")
            return GcsPlace(bucket=bucket, key=given.key("key"), secrets=secrets)
        case "azure":
            return parse_azure(given)
        case "raw":
            return RawPlace(as_text(fields.get("data")))
        case _:
            raise ArtifactError(
                "Unsupported", f"{origin}: artifacts in {kind} are not supported, only in s3, gcs, azure and raw"
            )


def parse_s3(given: Fields) -> S3Place:
    """Parses a location in S3 or a compatible server. Raises ArtifactError."""
    try:
        endpoint = parse_endpoint(as_text(given.fields.get("endpoint")), tls=given.fields.get("insecure") is not True)
    except ValueError:
        raise given.wrong("endpoint", f"{EXPECTED_HOST}, without a scheme") from None
    bucket = given.matching("bucket", S3_BUCKET, "the name of a bucket or container")
    region = as_text(given.fields.get("region"))
    place = S3Place(endpoint, bucket, given.key("key"), region, given.s3_secrets())
    if region and not (AWS_REGION if place.cloud else REGION).fullmatch(region):
        raise given.wrong("region", "a region such as us-east-1")
    if place.cloud and endpoint.port != 443:
        raise given.wrong("endpoint", "a host of AWS without a port, and insecure not to be set")
    return place


def parse_azure(given: Fields) -> AzurePlace:
    """Parses a location in Azure Blob Storage. Raises ArtifactError."""
    try:
        endpoint, segment = parse_url(as_text(given.fields.get("endpoint")))
    except ValueError:
        raise given.wrong("endpoint", "a URL such as https://ACCOUNT.blob.core.windows.net") from None
    own = given.fields.get("useSDKCreds") is True
    secrets = {} if own else given.secrets("accountKeySecret")
    if not own and not secrets:
        raise given.wrong("accountKeySecret", "a Secret, or useSDKCreds: true")
    container = given.matching("container", CONTAINER, "the name of a bucket or container")
    place = AzurePlace(endpoint, segment, container, given.key("blob"), secrets)
    if own and not place.cloud:
        raise given.wrong("endpoint", "an endpoint of Azure itself over https, with useSDKCreds: true")
    return place


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a location, and their source for messages."""

    fields: Json
    origin: str

    def wrong(self, field: str, expected: str) -> ArtifactError:
        """The error for a field; it quotes the value if that is a string."""
        found = self.fields.get(field)
        shown = f", found {quote_name(found)}" if isinstance(found, str) and found else ""
        return ArtifactError("Unsupported", f"{self.origin}.{field}: expected {expected}{shown}")

    def refuse(self, field: str, unless: str) -> None:
        """Raises if an unsupported field is set, unless the field `unless`, which wins over it, is set too."""
        if self.fields.get(field) and not as_mapping(self.fields.get(unless)).get("name"):
            raise self.wrong(field, f"none, or {unless} beside it: roles are not assumed")

    def matching(self, field: str, pattern: re.Pattern[str], expected: str) -> str:
        """The field's value, if it matches the pattern."""
        value = as_text(self.fields.get(field))
        if not pattern.fullmatch(value):
            raise self.wrong(field, expected)
        return value

    def key(self, field: str) -> str:
        """A key that every store and client interprets in the same way.

        obstore treats `/a`, `a/` and `a` as one key, and an empty key as a request for the list of objects. A trailing slash
        is kept: Argo saves a directory under it.
        """
        value = as_text(self.fields.get(field))
        parts = value.removesuffix("/").split("/")
        if CONTROL.search(value) or any(part in ("", ".", "..") for part in parts):
            raise self.wrong(
                field, "a key without control characters, and without empty parts, '.' or '..' between its slashes"
            )
        if len(value.encode()) > MAX_KEY:
            raise self.wrong(field, f"a key of at most {MAX_KEY} bytes")
        return value

    def secrets(self, *wanted: str) -> dict[str, SecretKey]:
        """The Secrets that these fields name; a field without a name counts as absent (Argo 3.7)."""
        found: dict[str, SecretKey] = {}
        for field in wanted:
            selector = as_mapping(self.fields.get(field))
            if name := as_text(selector.get("name")):
                if not OBJECT_NAME.fullmatch(name):
                    raise self.wrong(f"{field}.name", f"the name of a Secret, found {quote_name(name)}")
                if not as_text(selector.get("key")):
                    raise self.wrong(f"{field}.key", f"the key in Secret {quote_name(name)}")
                found[field] = SecretKey(name, as_text(selector.get("key")))
        return found

    def s3_secrets(self) -> dict[str, SecretKey]:
        """The Secrets of keys, token and CA: both keys or none, and the token only with keys."""
        found = self.secrets("accessKeySecret", "secretKeySecret", "sessionTokenSecret", "caSecret")
        if "accessKeySecret" in found and "secretKeySecret" not in found:
            raise self.wrong("secretKeySecret", "a Secret, as accessKeySecret names one")
        if "accessKeySecret" not in found:
            return {field: secret for field, secret in found.items() if field == "caSecret"}
        return found


# --------------------------------------------------------------------------------------------------------------- words
MAX_QUOTED = 8
"""Maximum names in a message."""


def quote_name(name: str) -> str:
    """Quotes a name for a message, cut and on one line."""
    shown = "".join(char if char.isprintable() else "?" for char in name)
    return f'"{shown if len(shown) <= 253 else shown[:252] + "…"}"'


def quote_names(them: list[str]) -> str:
    """Quotes names for a message, at most MAX_QUOTED of them."""
    shown = ", ".join(quote_name(name) for name in them[:MAX_QUOTED])
    return (f"{shown} and more" if len(them) > MAX_QUOTED else shown) or "none"
