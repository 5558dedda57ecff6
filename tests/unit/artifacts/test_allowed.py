"""Which object stores a service contacts: what an admin lists, compared with the host that is contacted in the end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.artifacts.allowed import AllowedStores, argo_endpoints, is_cloud_host, parse_listed
from runwright.artifacts.hosts import Endpoint
from runwright.artifacts.places import ArtifactError, RawPlace, S3Place, parse_place

SECRET = {"name": "creds", "key": "a"}
NAMED = {"accessKeySecret": SECRET, "secretKeySecret": SECRET}


def place(kind: str, **fields: Any) -> Any:
    return parse_place(kind, {"bucket": "b", "key": "k", **fields}, "here")


def s3(endpoint: str, secrets: bool = True, **fields: Any) -> Any:
    return place("s3", endpoint=endpoint, **(NAMED if secrets else {}), **fields)


def azure(endpoint: str, secrets: bool = True) -> Any:
    identity: dict[str, Any] = {"accountKeySecret": SECRET} if secrets else {"useSDKCreds": True}
    return parse_place("azure", {"endpoint": endpoint, "container": "c", "blob": "k", **identity}, "here")


def test_without_a_list_the_clouds_are_read_with_keys_from_secrets():
    nothing = AllowedStores()
    assert nothing.permits(s3("s3.amazonaws.com"))
    assert nothing.permits(s3("s3.eu-west-1.amazonaws.com", bucket="other"))
    assert nothing.permits(place("gcs", serviceAccountKeySecret=SECRET))
    assert nothing.permits(azure("https://acct.blob.core.windows.net"))
    for other in (
        "minio.argo:9000",
        "10.0.0.1",
        "localhost:9000",
        "vpce-1.s3.us-east-1.vpce.amazonaws.com",
        "s3.amazonaws.com.evil.example",
    ):
        assert not nothing.permits(s3(other)), other
    assert not nothing.permits(azure("http://acct.blob.core.windows.net"))
    assert not nothing.permits(azure("https://blob.example"))


def test_the_own_identity_is_for_listed_buckets_alone():
    stores = AllowedStores.parse(
        ["minio.argo:9000/b", "s3.amazonaws.com/b", "storage.googleapis.com/b", "acct.blob.core.windows.net/c"],
        ["minio.argo:9000"],
    )
    assert stores.permits(s3("minio.argo:9000", secrets=False, insecure=True))
    assert not stores.permits(s3("minio.argo:9000", secrets=False, bucket="other"))
    assert not stores.permits(s3("minio.argo", secrets=False))
    assert not stores.permits(s3("minio.argo:9001", secrets=False))
    assert stores.permits(s3("s3.eu-west-1.amazonaws.com", secrets=False)), "a bucket's name is unique in all regions"
    assert stores.permits(s3("s3.amazonaws.com", secrets=False, region="eu-west-1"))
    assert not stores.permits(s3("s3.cn-north-1.amazonaws.com.cn", secrets=False)), "but China has its own names"
    assert stores.permits(place("gcs")) and not stores.permits(place("gcs", bucket="other"))
    assert stores.permits(azure("https://acct.blob.core.windows.net/", secrets=False))
    assert not stores.permits(azure("https://other.blob.core.windows.net", secrets=False))
    assert not AllowedStores.parse((), ["s3.amazonaws.com"]).permits(s3("s3.amazonaws.com", secrets=False))


def test_listed_servers_are_read_with_keys_from_secrets():
    stores = AllowedStores.parse(
        ["own.argo/b"], ["MinIO.argo:9000", "ceph.storage/shared", "azurite.ns:10000/dev/c", "[FD00::1]:9000"]
    )
    assert stores.permits(s3("minio.argo:9000", bucket="any"))
    assert stores.permits(s3("ceph.storage", bucket="shared")) and not stores.permits(s3("ceph.storage"))
    assert stores.permits(s3("ceph.storage", bucket="shared", insecure=True)), (
        "a listed host without a port: of its scheme"
    )
    assert stores.permits(azure("http://azurite.ns:10000/dev"))
    assert not stores.permits(azure("http://azurite.ns:10000/other"))
    assert stores.permits(s3("[fd00:0::1]:9000"))
    assert stores.permits(s3("own.argo"))


def test_the_refusal_names_the_option():
    refused = AllowedStores().refusal
    assert refused(s3("minio.argo:9000")).message == (
        "the server of bucket minio.argo:9000/b is not among those that may be contacted; an admin can list it with "
        "--artifact-endpoint minio.argo:9000 (artifacts.endpoints of the chart)"
    )
    assert "--artifact-bucket (artifacts.buckets of the chart)" in refused(s3("minio.argo:9000", secrets=False)).message


@pytest.mark.parametrize(
    "text", ["", "/b", "http://a/b", "a/", "a//b", "a/b/c/d", "a/../b", "a_b/c", "user@a/b", "a:x/b", "a/b c"]
)
def test_an_invalid_option_is_refused(text: str):
    with pytest.raises(ValueError, match="expected"):
        parse_listed(text)


def test_a_bucket_is_required_for_the_own_identity():
    with pytest.raises(ValueError, match="'a': expected HOST/BUCKET, found no bucket"):
        AllowedStores.parse(["a"])
    with pytest.raises(ValueError, match="expected the name of Argo's namespace"):
        AllowedStores.parse(argo_namespace="a/b")
    assert str(parse_listed("[::1]:9/b")) == "[::1]:9/b"


def config_map(name: str, **data: str) -> Any:
    return {"metadata": {"name": name, "namespace": "argo"}, "data": data}


def test_the_servers_of_argos_own_repositories():
    """An admin wrote them: a location that names one of them is as good as listed."""
    repository = {"s3": {"endpoint": "minio.argo:9000", "bucket": "b", "insecure": True}}
    found = argo_endpoints(
        [
            config_map(
                "workflow-controller-configmap",
                artifactRepository=json.dumps(repository),
                persistence="s3: {endpoint: no}",
            ),
            config_map(
                "workflow-controller-configmap",
                config=json.dumps({"artifactRepository": {"s3": {"endpoint": "old.argo"}}}),
            ),
            config_map(
                "artifact-repositories",
                a="azure: {endpoint: 'https://blob.example/dev'}",
                b="s3: {endpoint: 'a b'}",
                c="[",
                d="1",
            ),
        ]
    )
    assert found == {
        Endpoint("minio.argo", 9000, False),
        Endpoint("old.argo", 443, True),
        Endpoint("blob.example", 443, True),
    }
    nothing = AllowedStores()
    assert nothing.permits(s3("minio.argo:9000", insecure=True), found)
    assert nothing.permits(s3("minio.argo:9000"), found), "TLS is never worse"
    assert not nothing.permits(s3("old.argo", insecure=True), found)
    assert not nothing.permits(s3("minio.argo:9000", secrets=False, insecure=True), found), "not with the own identity"


def test_config_maps_of_the_run_and_of_argo_alone():
    assert AllowedStores().config_map_namespaces("team") == ("team", "argo")
    assert AllowedStores(argo_namespace="").config_map_namespaces("team") == ("team",)


hosts = (
    st.sampled_from(
        ["minio.argo:9000", "evil.example", "s3.amazonaws.com", "s3.eu-west-1.amazonaws.com", "127.0.0.1:80"]
    )
    | st.text()
)
words = st.sampled_from(["b", "eu-west-1", "evil.example/", "evil.example#", "x@evil.example", "a.b", "k"]) | st.text()


@given(st.sampled_from(["s3", "gcs", "azure"]), hosts, words, words, words, st.booleans(), st.booleans())
def test_whatever_a_tenant_writes_the_host_is_allowed_or_the_artifact_is_refused(
    kind: str, endpoint: str, bucket: str, region: str, key: str, insecure: bool, secrets: bool
):
    stores = AllowedStores.parse(["s3.amazonaws.com/b"], ["minio.argo:9000"])
    fields = {
        "endpoint": endpoint,
        "bucket": bucket,
        "container": bucket,
        "region": region,
        "key": key,
        "blob": key,
        "insecure": insecure,
    }
    identity: dict[str, Any] = (
        {**NAMED, "serviceAccountKeySecret": SECRET, "accountKeySecret": SECRET} if secrets else {"useSDKCreds": True}
    )
    try:
        found = parse_place(kind, {**fields, **identity}, "here")
    except ArtifactError:
        return
    assert not isinstance(found, RawPlace)
    if not stores.permits(found):
        return
    server = found.server() if isinstance(found, S3Place) else found.endpoint
    listed = (server.host, server.port) == ("minio.argo", 9000)
    suffixes = (".amazonaws.com", ".amazonaws.com.cn", "storage.googleapis.com", ".core.windows.net")
    assert listed or (server.tls and server.port == 443 and server.host.endswith(suffixes))
    if not secrets:
        assert found.path == ("b",) and server.host.endswith(".amazonaws.com")


def test_hosts_of_clouds():
    assert is_cloud_host("s3.amazonaws.com") and not is_cloud_host("s3.amazonaws.com.evil.example")
