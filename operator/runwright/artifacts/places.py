"""Parses the fields of Argo's `ArtifactLocation` (3.7) into places in object stores, and validates them before any request.

Tenants write these fields, so no field is used as a path, and each error names the field and the expected value.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

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

    endpoint: str
    """HOST or HOST:PORT."""
    bucket: str
    key: str
    region: str
    insecure: bool
    """Over plain HTTP."""
    secrets: Secrets
    """Of accessKeySecret, secretKeySecret, sessionTokenSecret, caSecret."""

    @property
    def store(self) -> str:
        """HOST/BUCKET."""
        return f"{self.endpoint}/{self.bucket}"

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
    def store(self) -> str:
        """HOST/BUCKET."""
        return f"storage.googleapis.com/{self.bucket}"

    @property
    def own_identity(self) -> bool:
        """Whether it is read with the identity of this process, because the Workflow names no credentials."""
        return not self.secrets


@dataclass(frozen=True, slots=True)
class AzurePlace:
    """A blob in a container of an Azure storage account."""

    endpoint: str
    """URL of the account's blob service."""
    account: str
    container: str
    key: str
    secrets: Secrets
    """Of accountKeySecret: the account's key, or a shared access signature."""

    @property
    def store(self) -> str:
        """HOST/CONTAINER."""
        return f"{self.endpoint.partition('://')[2].rstrip('/')}/{self.container}"

    @property
    def own_identity(self) -> bool:
        """Whether it is read with the identity of this process, because the Workflow names no credentials."""
        return not self.secrets


@dataclass(frozen=True, slots=True)
class RawPlace:
    """An artifact in the Workflow itself."""

    data: str


Place = S3Place | GcsPlace | AzurePlace | RawPlace


# ---------------------------------------------------------------------------------------------------- fields of a place
HOST = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
BUCKET = re.compile(r"[A-Za-z0-9$]([A-Za-z0-9._-]{0,253}[A-Za-z0-9])?")
ENDPOINT = re.compile(rf"https?://({HOST.pattern})(/[A-Za-z0-9._-]+)?/?")
OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

AZURE_CLOUD = re.compile(
    r"https://[a-z0-9-]+(\.z[0-9]+)?\.(blob|dfs)"
    r"\.(core\.windows\.net|core\.chinacloudapi\.cn|core\.usgovcloudapi\.net|storage\.azure\.net)/?"
)
"""Endpoints that get a token of this process's own identity. Anybody who gets a token can use it, unlike a signature."""

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
            return S3Place(
                endpoint=given.host("endpoint", HOST, "HOST or HOST:PORT without a scheme"),
                bucket=given.bucket("bucket"),
                key=given.key("key"),
                region=as_text(fields.get("region")),
                insecure=fields.get("insecure") is True,
                secrets=given.s3_secrets(),
            )
        case "gcs":
            secrets = given.secrets("serviceAccountKeySecret")
            return GcsPlace(bucket=given.bucket("bucket"), key=given.key("key"), secrets=secrets)
        case "azure":
            endpoint = given.host("endpoint", ENDPOINT, "a URL such as https://ACCOUNT.blob.core.windows.net")
            own = fields.get("useSDKCreds") is True
            secrets = {} if own else given.secrets("accountKeySecret")
            if not own and not secrets:
                raise given.wrong("accountKeySecret", "a Secret, or useSDKCreds: true")
            if own and not AZURE_CLOUD.fullmatch(endpoint):
                raise given.wrong("endpoint", "an endpoint of Azure itself over https, with useSDKCreds: true")
            return AzurePlace(
                endpoint=endpoint,
                account=azure_account(endpoint),
                container=given.bucket("container"),
                key=given.key("blob"),
                secrets=secrets,
            )
        case "raw":
            return RawPlace(as_text(fields.get("data")))
        case _:
            raise ArtifactError(
                "Unsupported", f"{origin}: artifacts in {kind} are not supported, only in s3, gcs, azure and raw"
            )


def is_link_local(host: str) -> bool:
    """Whether HOST or HOST:PORT is a link-local address, such as a metadata service, in any notation."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    parts = name.split(".")
    try:
        if not host.startswith("[") and len(parts) <= 4:
            # As in inet_aton: hexadecimal and octal parts, and a last part that stands for the missing ones.
            numbers = [
                int(part, 0 if part.startswith(("0x", "0X")) else 8 if part.startswith("0") else 10) for part in parts
            ]
            name = str(ipaddress.IPv4Address(sum(n << 24 - 8 * at for at, n in enumerate(numbers[:-1])) + numbers[-1]))
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return address.is_link_local or address == ipaddress.ip_address("fd00:ec2::254")


def azure_account(endpoint: str) -> str:
    """The storage account of an endpoint: the first part of its host, or of its path on localhost, as in Argo."""
    host, _, path = endpoint.partition("://")[2].partition("/")
    if host.startswith(("127.0.0.1", "localhost")):
        return path.strip("/")
    return host.partition(".")[0]


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

    def host(self, field: str, pattern: re.Pattern[str], expected: str) -> str:
        """As `matching`; refuses a cloud's metadata service, which would return credentials of this process."""
        value = self.matching(field, pattern, expected)
        host = value.partition("://")[2] or value
        if is_link_local(host.partition("/")[0]):
            raise self.wrong(field, "the address of an object store")
        return value

    def bucket(self, field: str) -> str:
        """The name of a bucket or container: never a path."""
        return self.matching(field, BUCKET, "the name of a bucket or container")

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
