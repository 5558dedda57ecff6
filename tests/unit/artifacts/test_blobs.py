"""Which hosts obstore is pointed at, with which identity, and how its errors are mapped."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from runwright.artifacts.blobs import Blobs, connect_store, s3_store, service_account_key, to_artifact_error
from runwright.artifacts.hosts import parse_endpoint
from runwright.artifacts.places import ArtifactError, AzurePlace, GcsPlace, S3Place, SecretKey, parse_place

KEYS = {"accessKeySecret": "AKID\n", "secretKeySecret": "very-secret"}
SELECTORS = {name: SecretKey("s", name) for name in KEYS}
CLOUDS = (".amazonaws.com", ".amazonaws.com.cn", ".core.windows.net", ".storage.azure.net")


def s3(endpoint: str, bucket: str = "b", region: str = "", secrets: Any = SELECTORS) -> S3Place:
    return S3Place(parse_endpoint(endpoint, tls=True), bucket, "k", region, secrets)


def config_of(place: S3Place, secrets: Any, region: str = "") -> Any:
    return s3_store(place, secrets, region).config


@pytest.mark.parametrize(
    ("endpoint", "bucket", "region", "url"),
    [
        ("s3.amazonaws.com", "b", "", "https://b.s3.amazonaws.com"),
        ("s3.amazonaws.com", "b", "eu-west-1", "https://b.s3.eu-west-1.amazonaws.com"),
        ("s3.eu-west-1.amazonaws.com", "b", "", "https://b.s3.eu-west-1.amazonaws.com"),
        ("s3-fips.dualstack.us-gov-west-1.amazonaws.com", "b", "", "https://b.s3-fips.dualstack.us-gov-west-1.amazonaws.com"),
        ("s3.cn-north-1.amazonaws.com.cn", "b", "", "https://b.s3.cn-north-1.amazonaws.com.cn"),
        ("s3.amazonaws.com", "b.with.dots", "", "https://s3.amazonaws.com"),
        ("s3.amazonaws.com", "Old_Name", "", "https://s3.amazonaws.com"),
    ],
)  # fmt: skip
def test_the_host_of_a_bucket_in_aws(endpoint: str, bucket: str, region: str, url: str):
    """The bucket is in the host name if it is a label of a DNS name: AWS takes no paths from new buckets."""
    place = s3(endpoint, bucket, region, {})
    config = config_of(place, {})
    assert config["endpoint"] == config["endpoint_url_s3"] == url == place.server().url
    assert (config["virtual_hosted_style_request"] == "true") == url.startswith(f"https://{bucket}.")
    assert config.get("region", "") == place.own_region


anything = st.text() | st.sampled_from(
    [
        "s3.amazonaws.com",
        "s3.eu-west-1.amazonaws.com",
        "eu-west-1",
        "x.internal/",
        "a@b",
        "[::1]:80",
        "a%2Fb",
        "..",
        "k",
    ]
)


@settings(max_examples=50)
@given(anything, anything, anything, anything)
def test_no_field_leads_obstore_to_another_host(endpoint: str, bucket: str, region: str, key: str):
    """It is pointed at hosts of the clouds alone, whatever the fields contain."""
    try:
        place = parse_place("s3", {"endpoint": endpoint, "bucket": bucket, "region": region, "key": key}, "here")
    except ArtifactError:
        return
    assert isinstance(place, S3Place)
    if place.cloud:
        url = URL(config_of(place, {})["endpoint"])
        assert (url.scheme, url.port, url.path, url.user) == ("https", 443, "/", None)
        assert url.host is not None and url.host.endswith(CLOUDS)


def test_with_a_secret_nothing_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch):
    """Its endpoint would win over that of the Workflow."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    config = config_of(s3("s3.amazonaws.com", "b.c", "eu-west-1"), KEYS)
    assert config["endpoint"] == config["endpoint_url_s3"] == "https://s3.eu-west-1.amazonaws.com"
    assert (config["skip_signature"], config["virtual_hosted_style_request"]) == ("false", "false")


def test_the_region_that_aws_returns_becomes_a_part_of_the_host():
    assert config_of(s3("s3.amazonaws.com"), KEYS, "ap-south-1")["endpoint"] == "https://b.s3.ap-south-1.amazonaws.com"


def test_the_key_of_a_service_account_names_no_host():
    """obstore takes `gcs_base_url` from it, and sends no signature with `disable_oauth`."""
    identity = {"type": "service_account", "client_email": "a@b", "private_key": "x", "private_key_id": "y"}
    evil = {**identity, "gcs_base_url": "https://internal", "disable_oauth": True, "token_uri": "https://internal"}
    assert json.loads(service_account_key(json.dumps(evil))) == identity
    assert json.loads(service_account_key("[]")) == {}


async def refused(place: GcsPlace | AzurePlace | S3Place, secrets: dict[str, str]) -> tuple[str, str]:
    store = Blobs(place, secrets)
    with pytest.raises(ArtifactError) as caught:
        await store.open("k")
    assert "very-secret" not in caught.value.message
    return caught.value.reason, caught.value.message


@pytest.mark.parametrize("key", ["", "no json", "{}", '{"type": "very-secret"}', "[" * 100_000])
async def test_an_invalid_service_account_key_is_refused(key: str):
    where = GcsPlace("bucket", "k", {"serviceAccountKeySecret": SecretKey("s", "k")})
    reason, said = await refused(where, {"serviceAccountKeySecret": key})
    assert reason == "Refused"
    assert "serviceAccountKeySecret" in said


@pytest.mark.parametrize("key", ["x", "####"])
async def test_an_invalid_account_key_is_refused(key: str):
    endpoint = parse_endpoint("acct.blob.core.windows.net", tls=True)
    where = AzurePlace(endpoint, "", "box", "k", {"accountKeySecret": SecretKey("s", "k")})
    reason, said = await refused(where, {"accountKeySecret": key})
    assert (reason, said.partition(": ")[2]) == (
        "Refused",
        "the Secrets that accountKeySecret names have no valid credentials",
    )


def test_azure_is_contacted_at_the_host_of_the_account():
    endpoint = parse_endpoint("acct.blob.core.windows.net", tls=True)
    config: Any = connect_store(AzurePlace(endpoint, "", "box", "k", {}), {}).config
    assert (config["endpoint"], config["account_name"]) == ("https://acct.blob.core.windows.net", "acct")


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        (FileNotFoundError("status code: 404 <Code>NoSuchKey</Code>"), "ObjectNotFound", 'no object with the key "k"'),
        (FileNotFoundError("<Code>NoSuchBucket</Code>"), "ObjectNotFound", "s3.amazonaws.com/b does not exist"),
        (FileNotFoundError("status code: 404 <Code>Odd</Code>"), "Refused", "(Odd, HTTP 404)"),
        (OSError("status code: 400 <Code>InvalidArgument</Code> very-secret"), "Refused", "(InvalidArgument, HTTP 400)"),
        (OSError("status code: 503"), "Unreachable", "does not answer (HTTP 503)"),
        (OSError("UnknownIssuer"), "Unreachable", "the TLS connection is not trusted"),
        (ValueError("no such path"), "Unsupported", "is not supported"),
    ],
)  # fmt: skip
def test_errors_are_mapped(error: Exception, reason: str, message: str):
    found = to_artifact_error(error, s3("s3.amazonaws.com"), "k")
    assert found.reason == reason
    assert message in found.message and "very-secret" not in found.message


def test_other_errors_are_raised_again():
    with pytest.raises(KeyError):
        to_artifact_error(KeyError("bug"), s3("s3.amazonaws.com"), "k")
