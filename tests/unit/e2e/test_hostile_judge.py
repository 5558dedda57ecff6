"""The judge of the hostile test counts failures in a row, and takes percentiles by nearest rank."""

from __future__ import annotations

import socket

import pytest

from tests.e2e.hostile_judge import Canary, longest, percentile


@pytest.mark.parametrize(
    ("values", "most"), [([], 0), ([False], 0), ([True, True, False, True], 2), ([False, True, True, True], 3)]
)
def test_failures_in_a_row_are_counted(values: list[bool], most: int):
    assert longest(values) == most


def test_percentiles_are_values_that_were_seen():
    values = [float(number) for number in range(1, 201)]
    assert percentile(values, 50) == 101
    assert percentile(values, 99) == 199
    assert percentile([3.0], 99) == 3
    assert percentile([], 99) == 0


def test_the_canary_counts_connections():
    with Canary() as canary:
        host, _, port = canary.address.rpartition(":")
        for _ in range(3):
            with socket.create_connection((host, int(port)), 5) as connection:
                connection.recv(1)
        assert canary.connections == 3
