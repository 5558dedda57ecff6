"""Which object stores a service may contact: those that an admin named, and the clouds' own.

Anyone who may create a Workflow writes the locations of its artifacts, so a location alone never decides where a request
goes. Places are compared after parsing, with the server that is contacted in the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runwright.artifacts.hosts import EXPECTED_HOST, HOST_LABEL, Endpoint, bracketed, default_port, parse_authority
from runwright.artifacts.places import AWS_HOST, AZURE_HOST, GCS_ENDPOINT, S3_BUCKET, ArtifactError, StorePlace
from runwright.core.workflow.kube_yaml import UnreadableTextError, load_yaml
from runwright.kube.objects import Json, as_mapping, as_text, key_of

MAX_SEGMENTS = 2
"""Segments of a listed path: a bucket, or a storage account and a container."""

ARGO_NAMESPACE = "argo"
"""Default namespace of Argo's controller."""

ARGO_CONFIG_MAPS = ("workflow-controller-configmap", "artifact-repositories")
"""ConfigMaps in Argo's namespace in which an admin names artifact repositories."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A server, or a bucket on it, that an admin named."""

    host: str
    port: int | None
    """None: the port of http or https."""
    path: tuple[str, ...] = ()
    """The bucket, or the storage account and the container; empty: all of them."""

    def __str__(self) -> str:
        authority = bracketed(self.host) + (f":{self.port}" if self.port else "")
        return "/".join((authority, *self.path))

    def matches(self, place: StorePlace) -> bool:
        """Whether the place is on this server and in this bucket."""
        return self.serves(place.endpoint) and (not self.path or self.path == place.path)

    def serves(self, endpoint: Endpoint) -> bool:
        """Whether this is the server. A host of S3 in AWS stands for all regions: a bucket's name is unique in them."""
        port = default_port(endpoint.tls) if self.port is None else self.port
        if port != endpoint.port:
            return False
        named, found = AWS_HOST.fullmatch(self.host), AWS_HOST.fullmatch(endpoint.host)
        if named and found:
            return named["partition"] == found["partition"]
        return self.host == endpoint.host


def parse_listed(text: str, *, bucket: bool = False) -> Listed:
    """Parses HOST[:PORT][/BUCKET] of an option; with `bucket`, the bucket is required. Raises ValueError."""
    authority, *path = text.split("/")
    try:
        host, port = parse_authority(authority)
    except ValueError:
        raise ValueError(f"{text!r}: expected {EXPECTED_HOST}, without a scheme") from None
    if len(path) > MAX_SEGMENTS or not all(S3_BUCKET.fullmatch(part.removeprefix("$")) for part in path):
        raise ValueError(f"{text!r}: expected HOST/BUCKET")
    if bucket and not path:
        raise ValueError(f"{text!r}: expected HOST/BUCKET, found no bucket")
    return Listed(host, port, tuple(path))


def is_cloud_host(host: str) -> bool:
    """Whether AWS, Google or Azure runs the store at a host."""
    return bool(AWS_HOST.fullmatch(host) or AZURE_HOST.fullmatch(host)) or host == GCS_ENDPOINT.host


@dataclass(frozen=True, slots=True)
class AllowedStores:
    """What an admin allows a service."""

    buckets: tuple[Listed, ...] = ()
    """Buckets that it may read with its own identity, and with keys from Secrets."""
    endpoints: tuple[Listed, ...] = ()
    """Servers or buckets that it may read with keys from Secrets."""
    argo_namespace: str = ARGO_NAMESPACE
    """Namespace of Argo's controller: servers of the repositories in its configuration may be read with keys from Secrets.

    Empty: none of them.
    """

    @classmethod
    def parse(
        cls, buckets: Iterable[str] = (), endpoints: Iterable[str] = (), argo_namespace: str = ARGO_NAMESPACE
    ) -> AllowedStores:
        """Parses the values of the options. Raises ValueError."""
        if argo_namespace and not HOST_LABEL.fullmatch(argo_namespace):
            raise ValueError(f"{argo_namespace!r}: expected the name of Argo's namespace")
        return cls(
            tuple(parse_listed(one, bucket=True) for one in buckets),
            tuple(parse_listed(one) for one in endpoints),
            argo_namespace,
        )

    def permits(self, place: StorePlace, of_argo: Iterable[Endpoint] = ()) -> bool:
        """Whether the place may be read. `of_argo` are the servers of Argo's own repositories."""
        if any(one.matches(place) for one in self.buckets):
            return True
        if place.own_identity:
            return False
        return (
            place.cloud
            or any(one.matches(place) for one in self.endpoints)
            or any(
                (one.host, one.port) == (place.endpoint.host, place.endpoint.port) and one.tls <= place.endpoint.tls
                for one in of_argo
            )
        )

    def refusal(self, place: StorePlace) -> ArtifactError:
        """The error for a place that is not permitted."""
        if place.own_identity:
            return ArtifactError(
                "Refused",
                f"the Workflow names no Secret for bucket {place.store}, and the bucket is not among those that may be "
                f"read with the identity of this process; an admin can list it with --artifact-bucket "
                f"(artifacts.buckets of the chart)",
            )
        return ArtifactError(
            "Refused",
            f"the server of bucket {place.store} is not among those that may be contacted; an admin can list it with "
            f"--artifact-endpoint {place.endpoint.authority} (artifacts.endpoints of the chart)",
        )

    def config_map_namespaces(self, namespace: str) -> tuple[str, ...]:
        """The namespaces whose ConfigMaps may name the artifact repository of a Workflow in `namespace`."""
        return (namespace, self.argo_namespace) if self.argo_namespace else (namespace,)


def argo_endpoints(config_maps: Iterable[Json]) -> frozenset[Endpoint]:
    """The servers of the artifact repositories in Argo's own ConfigMaps; what cannot be parsed is left out."""
    found: set[Endpoint] = set()
    for repository in argo_repositories(config_maps):
        s3, azure = as_mapping(repository.get("s3")), as_mapping(repository.get("azure"))
        tls = s3.get("insecure") is not True
        for url in (f"{'https' if tls else 'http'}://{as_text(s3.get('endpoint'))}", as_text(azure.get("endpoint"))):
            scheme, _, rest = url.partition("://")
            try:
                host, port = parse_authority(rest.partition("/")[0])
            except ValueError:
                continue
            found.add(Endpoint(host, port or default_port(scheme == "https"), scheme == "https"))
    return frozenset(found)


def argo_repositories(config_maps: Iterable[Json]) -> Iterator[Json]:
    """The artifact repositories in Argo's own ConfigMaps: each key of one, or the key `artifactRepository` of another."""
    for config_map in config_maps:
        of_controller = key_of(config_map).name == ARGO_CONFIG_MAPS[0]
        for key, text in as_mapping(config_map.get("data")).items():
            if of_controller and key not in ("config", "artifactRepository"):
                continue
            try:
                documents = load_yaml(as_text(text))
            except UnreadableTextError:
                continue
            document = as_mapping(documents[0] if documents else None)
            yield as_mapping(document.get("artifactRepository")) if of_controller and key == "config" else document
