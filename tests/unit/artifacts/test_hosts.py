"""Hosts have one form, and each program that reads them finds the same host."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from runwright.artifacts.hosts import (
    Endpoint,
    literal_address,
    names_this_machine,
    parse_endpoint,
    parse_url,
    refused_address,
)


@pytest.mark.parametrize(
    ("text", "authority"),
    [
        ("minio", "minio"),
        ("Minio.NS.svc:9000", "minio.ns.svc:9000"),
        ("10.0.0.1:9000", "10.0.0.1:9000"),
        ("[2001:DB8:0::1]:9000", "[2001:db8::1]:9000"),
        ("s3.amazonaws.com:443", "s3.amazonaws.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("1.example", "1.example"),
        ("0x7f.example", "0x7f.example"),
    ],
)
def test_a_host_has_one_form(text: str, authority: str):
    assert parse_endpoint(text, tls=True).authority == authority


@pytest.mark.parametrize(
    "text",
    ["", "https://minio", "minio/path", "user@minio", "a:b@minio", "minio?", "minio#", "a b", "minio:x", "minio:0", "minio:65536",
     "minio:", ":80", "minio:80:80", "minio.", ".minio", "a..b", "-a", "a-", "a_b", "bücher.example", "ⅿinio", "minio\\@x", "minio\n",
     "minio%0d%0a", "%6dinio", "minio\0", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.01", "1.2.3.4.5", "a.0x7f",
     "[::1", "::1", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[::1]x", "[1.2.3.4]", "a" * 64, "a." * 127 + "a.b", "*", "*.example"],
)  # fmt: skip
def test_everything_else_is_refused(text: str):
    with pytest.raises(ValueError, match="expected"):
        parse_endpoint(text, tls=False)


characters = st.sampled_from("abz019.-:[]@/\\?#%_ \t\r\n\0éⅿ。") | st.characters()
authorities = st.text(characters, max_size=20) | st.builds(
    "{}:{}".format, st.text(characters, max_size=12), st.integers()
)


@given(authorities | st.ip_addresses().map(str), st.booleans())
def test_every_parser_finds_the_same_host(text: str, tls: bool):
    try:
        endpoint = parse_endpoint(text, tls)
    except ValueError:
        return
    yarl, split = URL(f"{endpoint.url}/b/k", encoded=True), urlsplit(f"{endpoint.url}/b/k")
    assert yarl.host == split.hostname == endpoint.host
    assert yarl.port == endpoint.port == (split.port or (443 if tls else 80))
    assert (yarl.user, yarl.raw_path, split.username, split.path) == (None, "/b/k", None, "/b/k")
    assert parse_endpoint(endpoint.authority, tls) == endpoint, "the form is stable"
    try:
        numeric = socket.inet_aton(endpoint.host)
    except OSError:
        return
    assert socket.inet_ntoa(numeric) == endpoint.host, "a host that libc reads as an address is that address"


@pytest.mark.parametrize(
    ("text", "endpoint", "segment"),
    [
        ("https://acct.blob.core.windows.net", Endpoint("acct.blob.core.windows.net", 443, True), ""),
        ("https://acct.blob.core.windows.net/", Endpoint("acct.blob.core.windows.net", 443, True), ""),
        ("http://azurite.ns:10000/dev", Endpoint("azurite.ns", 10000, False), "dev"),
    ],
)
def test_urls(text: str, endpoint: Endpoint, segment: str):
    assert parse_url(text) == (endpoint, segment)


@pytest.mark.parametrize(
    "text",
    ["", "acct", "ftp://a", "HTTPS://a", "https:a", "https:///a", "https:/a", "https://a/b/c", "https://a//", "https://a/..", "https://a/%2e",
     "https://a?b", "https://a#b", "https://u@a", "https://a\\@b", " https://a", "https://a/b?c", "javascript://a"],
)  # fmt: skip
def test_other_urls_are_refused(text: str):
    with pytest.raises(ValueError, match="expected"):
        parse_url(text)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("64:ff9b::a9fe:a9fe", "link-local"),
        ("2002:a9fe:a9fe::1", "link-local"),
        ("fd00:ec2::254", "metadata"),
        ("100.100.100.200", "metadata"),
        ("127.0.0.1", "this machine"),
        ("127.9.9.9", "this machine"),
        ("::1", "this machine"),
        ("::ffff:127.0.0.1", "this machine"),
        ("0.0.0.0", "this machine"),
        ("::", "this machine"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
    ],
)
def test_addresses_that_are_never_contacted(address: str, why: str):
    assert why in refused_address(ip_address(address))
    assert bool(refused_address(ip_address(address), loopback=True)) == (why != "this machine")


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.1.1", "8.8.8.8", "2001:db8::1", "fd12::1"])
def test_other_addresses(address: str):
    assert refused_address(ip_address(address)) == ""


def test_names_of_this_machine():
    assert [
        names_this_machine(host) for host in ("localhost", "a.localhost", "127.0.0.1", "::1", "::ffff:127.0.0.1")
    ] == [True] * 5
    assert [names_this_machine(host) for host in ("minio", "localhost.example", "10.0.0.1")] == [False] * 3
    assert literal_address("minio") is None
