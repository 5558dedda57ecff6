"""Parses hosts and ports of object stores into one canonical form, and says which addresses are never contacted.

The grammar is narrower than that of a URL: no user, path, query, fragment, percent-encoding, whitespace, backslash or control
character, no name outside ASCII, no trailing dot, and no IPv4 address in decimal, octal, hexadecimal or shortened notation.
So each program that reads the result finds the same host in it.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

HOST_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""One label of a DNS name, in lower case (RFC 1123)."""

MAX_HOST = 253
"""Characters of a DNS name."""

NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label that makes a whole name an IPv4 address, for inet_aton and in the URL standard of WHATWG."""

AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(:(?P<port>[1-9][0-9]{0,4}))?")

EXPECTED_HOST = "HOST or HOST:PORT: a DNS name, or an IP address in its usual notation"

METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd20:ce::254")
)
"""Metadata services of clouds (AWS, Alibaba, Azure, Oracle, Google) outside of the link-local ranges."""

NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server: where a request goes."""

    host: str
    """A DNS name in lower case, or an IP address; IPv6 without brackets."""
    port: int
    tls: bool

    @property
    def authority(self) -> str:
        """HOST, or HOST:PORT if the port is not the scheme's."""
        return bracketed(self.host) if self.port == default_port(self.tls) else f"{bracketed(self.host)}:{self.port}"

    @property
    def url(self) -> str:
        """The URL without a path."""
        return f"{'https' if self.tls else 'http'}://{self.authority}"


def default_port(tls: bool) -> int:
    """The port of https or http."""
    return 443 if tls else 80


def bracketed(host: str) -> str:
    """The host as in a URL."""
    return f"[{host}]" if ":" in host else host


def parse_authority(text: str) -> tuple[str, int | None]:
    """Parses HOST or HOST:PORT into the canonical host and the port. Raises ValueError."""
    found = AUTHORITY.fullmatch(text)
    if found is None or not text.isascii():
        raise ValueError(f"expected {EXPECTED_HOST}")
    port = int(found["port"]) if found["port"] else None
    if port is not None and port > 65535:
        raise ValueError("expected a port from 1 to 65535")
    return canonical_host(found["host"]), port


def canonical_host(text: str) -> str:
    """The host in lower case, an IP address in its canonical form. Raises ValueError."""
    try:
        if text.startswith("["):
            return str(ipaddress.IPv6Address(text[1:-1]))
        host = text.lower()
        labels = host.split(".")
        if NUMERIC_LABEL.fullmatch(labels[-1]):
            return str(ipaddress.IPv4Address(host))
    except ValueError:
        raise ValueError(f"expected {EXPECTED_HOST}") from None
    if len(host) > MAX_HOST or not all(HOST_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"expected {EXPECTED_HOST}")
    return host


def parse_endpoint(text: str, tls: bool) -> Endpoint:
    """Parses HOST or HOST:PORT. Raises ValueError."""
    host, port = parse_authority(text)
    return Endpoint(host, port or default_port(tls), tls)


def parse_url(text: str) -> tuple[Endpoint, str]:
    """Parses `http[s]://HOST[:PORT][/SEGMENT][/]` into the server and the segment, empty without one. Raises ValueError."""
    scheme, separator, rest = text.partition("://")
    if scheme not in ("http", "https") or not separator:
        raise ValueError("expected a URL with http or https")
    authority, slash, path = rest.removesuffix("/").partition("/")
    if slash and not HOST_LABEL.fullmatch(path):
        raise ValueError("expected a URL without a path, or with the name of a storage account as its path")
    return parse_endpoint(authority, scheme == "https"), path


# ----------------------------------------------------------------------------------------------------------- addresses
def literal_address(host: str) -> Address | None:
    """The IP address that a canonical host is; None for a DNS name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def embedded_address(address: Address) -> Address:
    """The IPv4 address that an IPv6 address leads to, if it embeds one (mapped, 6to4, NAT64)."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def refused_address(address: Address, *, loopback: bool = False) -> str:
    """Why an address is never contacted, or an empty string. `loopback` accepts addresses of this machine."""
    inner = embedded_address(address)
    if inner in METADATA:
        return "the address of a cloud's metadata service"
    if inner.is_link_local or address.is_link_local:
        return "a link-local address"
    if (inner.is_loopback or inner.is_unspecified) and not loopback:
        return "an address of this machine itself"
    if inner.is_multicast:
        return "a multicast address"
    return ""


def names_this_machine(host: str) -> bool:
    """Whether a canonical host is a name or an address of this machine itself."""
    address = literal_address(host)
    if address is not None:
        inner = embedded_address(address)
        return inner.is_loopback or inner.is_unspecified
    return host == "localhost" or host.endswith(".localhost")
