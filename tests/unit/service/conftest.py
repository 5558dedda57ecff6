"""Fixtures of the run service's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.service.gateway import Gateway, open_gateway


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with open_gateway() as it:
        yield it
