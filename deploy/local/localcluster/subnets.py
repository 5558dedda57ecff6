"""Addresses of clusters: one /16 per cluster, disjoint from all routes and addresses of the machine."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import ClusterError

FIRST, LAST = 200, 249


@dataclass(frozen=True)
class Addresses:
    """The addresses of one cluster, all inside 10.SLOT.0.0/16.

    Services use the first /20, pods 10.SLOT.64.0/18, and the link between machine and cluster the last /30.
    """

    slot: int

    @property
    def whole(self) -> str:
        return f"10.{self.slot}.0.0/16"

    @property
    def services(self) -> str:
        return f"10.{self.slot}.0.0/20"

    @property
    def api_service(self) -> str:
        return f"10.{self.slot}.0.1"

    @property
    def dns_service(self) -> str:
        return f"10.{self.slot}.0.10"

    @property
    def s3_service(self) -> str:
        return f"10.{self.slot}.0.20"

    @property
    def pods(self) -> str:
        return f"10.{self.slot}.64.0/18"

    @property
    def host(self) -> str:
        return f"10.{self.slot}.255.1"

    @property
    def node(self) -> str:
        return f"10.{self.slot}.255.2"

    @property
    def host_link(self) -> str:
        """Name of the machine's end of the link (15 characters at most, a limit of Linux)."""
        return f"runwright{self.slot}"


def overlaps(network: str, taken: Iterable[str]) -> str | None:
    """The first of `taken` that shares an address with `network`, or None. Default routes do not count."""
    mine = ipaddress.ip_network(network)
    for other in taken:
        try:
            theirs = ipaddress.ip_network(other, strict=False)
        except ValueError:
            continue
        if theirs.version == mine.version and theirs.prefixlen > 0 and theirs.overlaps(mine):
            return other
    return None


def allocate(name: str, taken: Iterable[str], slots_in_use: Iterable[int]) -> Addresses:
    """Addresses for cluster `name`, disjoint from the networks `taken` and from other clusters' slots.

    The search starts at a slot derived from the name, so that a cluster usually gets the same addresses.

    Raises:
        ClusterError: if no slot is free.
    """
    taken, used = list(taken), set(slots_in_use)
    count = LAST - FIRST + 1
    start = 0 if name == "default" else sum(name.encode()) % count
    for offset in range(count):
        addresses = Addresses(FIRST + (start + offset) % count)
        if addresses.slot not in used and overlaps(addresses.whole, taken) is None:
            return addresses
    raise ClusterError(
        f"No free subnet: all of 10.{FIRST}.0.0/16 to 10.{LAST}.0.0/16 overlap a route or address in use.",
        "Free one of them (see `ip route`), or stop another cluster (cluster.py down --name OTHER).",
    )
