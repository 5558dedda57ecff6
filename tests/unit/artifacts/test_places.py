"""The fields of a place are read as Argo reads them, and refused if they lead to another place."""

from __future__ import annotations

from typing import Any

import pytest

from runwright.artifacts.places import (
    ArtifactError,
    AzurePlace,
    S3Place,
    SecretKey,
    parse_place,
    quote_name,
)

S3 = {"endpoint": "minio:9000", "bucket": "b", "key": "k"}
GCS = {"bucket": "b", "key": "k"}
AZURE = {"endpoint": "https://acct.blob.core.windows.net", "container": "c", "blob": "k", "useSDKCreds": True}
SECRET = {"name": "creds", "key": "a"}


def refused(kind: str, fields: dict[str, Any]) -> str:
    with pytest.raises(ArtifactError) as caught:
        parse_place(kind, fields, "here")
    assert caught.value.reason == "Unsupported"
    return caught.value.message


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "//",
        "/k",
        "k//",
        "a//b",
        ".",
        "..",
        "../k",
        "a/../b",
        "a/./b",
        "a/..",
        "a/../",
        "a\0b",
        "a\nb",
        "\ud800",
        "k" * 1025,
    ],
)
def test_an_ambiguous_key_is_refused(key: str):
    assert refused("s3", {**S3, "key": key}).startswith("here: s3.key: expected a key")
    assert refused("gcs", {**GCS, "key": key}).startswith("here: gcs.key: expected a key")
    assert refused("azure", {**AZURE, "blob": key}).startswith("here: azure.blob: expected a key")


@pytest.mark.parametrize(
    "key", ["k", "a/b", "dir/", "a b", "a%2e%2e/b", "...", "a..b/c", "é+?#&=", "-", "~", "a\\..\\b"]
)
def test_an_unambiguous_key_is_accepted(key: str):
    assert getattr(parse_place("s3", {**S3, "key": key}, "here"), "key", "") == key


@pytest.mark.parametrize("bucket", ["", "a/b", "..", ".", "a?x", "a#x", "-a", "a b", "{{inputs.parameters.b}}", "a@b"])
def test_a_bucket_is_never_a_path(bucket: str):
    assert "expected the name of a bucket or container" in refused("s3", {**S3, "bucket": bucket})
    assert "expected the name of a bucket or container" in refused("gcs", {**GCS, "bucket": bucket})
    assert "expected the name of a bucket or container" in refused("azure", {**AZURE, "container": bucket})


@pytest.mark.parametrize(
    "endpoint", ["", "https://minio:9000", "minio:9000/path", "user@minio", "minio?", "a b", "minio:x"]
)
def test_an_endpoint_of_s3_is_a_host(endpoint: str):
    assert (
        "s3.endpoint: expected HOST or HOST:PORT: a DNS name, or an IP address in its usual notation, without a scheme"
        in refused("s3", {**S3, "endpoint": endpoint})
    )


@pytest.mark.parametrize(
    "endpoint", ["minio", "minio.ns.svc:9000", "10.0.0.1:9000", "[2001:db8::1]:9000", "s3.amazonaws.com"]
)
def test_endpoints_of_s3(endpoint: str):
    found = parse_place("s3", {**S3, "endpoint": endpoint}, "here")
    assert isinstance(found, S3Place)
    assert found.endpoint.authority == endpoint


@pytest.mark.parametrize(
    "region",
    ["x.evil.example/", "evil.example#", "@evil.example", "eu-west-1.evil", "a/b", "a\\b", "a b", "é", "eu-west-1\n", "-a", "..", "127.0.0.1:80/"],
)  # fmt: skip
@pytest.mark.parametrize("endpoint", ["s3.amazonaws.com", "minio:9000"])
def test_a_region_is_never_a_part_of_another_host(endpoint: str, region: str):
    """It becomes a label of the host in AWS: `s3.REGION.amazonaws.com`."""
    said = refused("s3", {**S3, "endpoint": endpoint, "region": region})
    assert said.startswith("here: s3.region: expected a region such as us-east-1, found ")


@pytest.mark.parametrize("region", ["", "us-east-1", "us-gov-west-1", "cn-north-1"])
def test_regions(region: str):
    found = parse_place("s3", {**S3, "endpoint": "s3.amazonaws.com", "region": region}, "here")
    assert isinstance(found, S3Place)
    assert found.server().host == (f"b.s3.{region}.amazonaws.com" if region else "b.s3.amazonaws.com")
    assert "expected a region" in refused("s3", {**S3, "endpoint": "s3.amazonaws.com", "region": "garage"})
    assert parse_place("s3", {**S3, "region": "garage"}, "here")


def test_aws_is_read_over_tls_alone():
    for fields in ({"endpoint": "s3.amazonaws.com", "insecure": True}, {"endpoint": "s3.amazonaws.com:80"}):
        assert "expected a host of AWS without a port, and insecure not to be set" in refused("s3", {**S3, **fields})


@pytest.mark.parametrize(
    "endpoint",
    ["x.s3.amazonaws.com", "s3-website.eu-west-1.amazonaws.com", "sts.amazonaws.com", "s3.amazonaws.com.example", "s3.evil.amazonaws.com"],
)  # fmt: skip
def test_hosts_that_only_look_like_aws(endpoint: str):
    found = parse_place("s3", {**S3, "endpoint": endpoint}, "here")
    assert isinstance(found, S3Place)
    assert (found.cloud, found.server().host) == (False, endpoint)


def test_secrets_of_s3():
    both = {"accessKeySecret": SECRET, "secretKeySecret": {"name": "creds", "key": "b"}}
    found = parse_place("s3", {**S3, **both, "caSecret": {"name": "ca", "key": "c"}, "roleARN": "arn"}, "here")
    assert isinstance(found, S3Place)
    assert found.secrets == {
        "accessKeySecret": SecretKey("creds", "a"),
        "secretKeySecret": SecretKey("creds", "b"),
        "caSecret": SecretKey("ca", "c"),
    }
    assert not found.own_identity
    # Argo takes a Secret without a name for none, and a token only with its keys.
    found = parse_place(
        "s3", {**S3, "accessKeySecret": {"name": ""}, "sessionTokenSecret": SECRET, "caSecret": SECRET}, "here"
    )
    assert isinstance(found, S3Place)
    assert list(found.secrets) == ["caSecret"]
    assert found.own_identity


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"accessKeySecret": SECRET}, "s3.secretKeySecret: expected a Secret, as accessKeySecret names one"),
        ({"caSecret": {"name": "ca"}}, 's3.caSecret.key: expected the key in Secret "ca"'),
        ({"caSecret": {"name": "../x", "key": "a"}}, 's3.caSecret.name: expected the name of a Secret, found "../x"'),
        ({"roleARN": "arn:aws:iam::1:role/r"}, "roles are not assumed"),
        ({"encryptionOptions": {"serverSideCustomerKeySecret": SECRET}}, "no key of a customer's own (SSE-C)"),
    ],
)
def test_unsupported_fields_of_s3_are_refused(fields: dict[str, Any], message: str):
    assert message in refused("s3", {**S3, **fields})


def test_azure():
    found = parse_place("azure", {**AZURE, "useSDKCreds": False, "accountKeySecret": SECRET}, "here")
    assert isinstance(found, AzurePlace)
    assert (found.account, found.container, found.key) == ("acct", "c", "k")
    assert (found.store, found.own_identity) == ("acct.blob.core.windows.net/c", False)
    local = {**AZURE, "endpoint": "http://127.0.0.1:10000/dev", "useSDKCreds": False, "accountKeySecret": SECRET}
    assert getattr(parse_place("azure", local, "here"), "account", "") == "dev"
    assert "expected a Secret, or useSDKCreds: true" in refused("azure", {**AZURE, "useSDKCreds": False})


@pytest.mark.parametrize(
    "endpoint",
    ["https://evil.example", "http://acct.blob.core.windows.net", "https://acct.blob.core.windows.net.evil.example",
     "https://evil.example/acct"],
)  # fmt: skip
def test_the_readers_own_token_goes_to_azure_alone(endpoint: str):
    assert "expected an endpoint of Azure itself over https" in refused("azure", {**AZURE, "endpoint": endpoint})


def test_names_in_messages_stay_on_their_line():
    assert quote_name("a\nb\x1b[31m") == '"a?b?[31m"'
    assert len(quote_name("a" * 5000)) == 255
