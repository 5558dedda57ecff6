"""Clusters have disjoint addresses that the machine does not use."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localcluster.errors import ClusterError
from localcluster.subnets import FIRST, LAST, Addresses, allocate, overlaps

SLOTS = st.integers(FIRST, LAST)
NAMES = st.from_regex(r"[a-z][a-z0-9]{0,9}", fullmatch=True)


@given(SLOTS)
def test_the_parts_of_a_subnet_are_disjoint(slot: int) -> None:
    addresses = Addresses(slot)
    whole = ipaddress.ip_network(addresses.whole)
    parts = [ipaddress.ip_network(text) for text in (addresses.services, addresses.pods, f"10.{slot}.255.0/30")]
    assert all(part.subnet_of(whole) for part in parts)  # type: ignore[arg-type]
    assert not any(a.overlaps(b) for i, a in enumerate(parts) for b in parts[i + 1 :])
    services = (addresses.api_service, addresses.dns_service, addresses.s3_service)
    assert all(ipaddress.ip_address(ip) in parts[0] for ip in services)
    assert all(ipaddress.ip_address(ip) in parts[2] for ip in (addresses.host, addresses.node))
    assert len(addresses.host_link) <= 15


@given(NAMES, st.sets(SLOTS), st.sets(SLOTS))
def test_an_allocation_fails_only_if_all_subnets_are_taken(name: str, routes: set[int], slots: set[int]) -> None:
    taken = [f"10.{slot}.7.0/24" for slot in routes]
    if len(routes | slots) == LAST - FIRST + 1:
        with pytest.raises(ClusterError):
            allocate(name, taken, slots)
        return
    got = allocate(name, taken, slots)
    assert got.slot not in routes | slots
    assert overlaps(got.whole, taken) is None


def test_the_same_name_gets_the_same_addresses() -> None:
    assert allocate("demo", [], []) == allocate("demo", [], [])
    assert allocate("default", [], []).slot == FIRST


def test_default_routes_and_ipv6_do_not_overlap() -> None:
    assert overlaps("10.200.0.0/16", ["0.0.0.0/0", "fd00::/8", "broken"]) is None


def test_a_containing_or_contained_route_overlaps() -> None:
    assert overlaps("10.200.0.0/16", ["192.168.0.0/16", "10.0.0.0/8"]) == "10.0.0.0/8"
    assert overlaps("10.200.0.0/16", ["10.200.3.4"]) == "10.200.3.4"


def test_the_error_names_the_range_if_net_10_is_taken() -> None:
    with pytest.raises(ClusterError, match=r"10\.200\.0\.0/16 to 10\.249\.0\.0/16"):
        allocate("demo", ["10.0.0.0/8"], [])
