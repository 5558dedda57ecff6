from __future__ import annotations

import pytest

from runwright.kube.errors import ApiError
from runwright.kube.fence import Fence, elapsed


def test_a_fence_is_closed_until_it_is_opened_and_after_its_time() -> None:
    seconds = 100.0
    fence = Fence(clock=lambda: seconds)
    with pytest.raises(ApiError) as caught:
        fence.check()
    assert (caught.value.code, caught.value.reason) == (0, "NotLeading")
    fence.open_until(fence.now() + 5)
    fence.check()
    seconds = 104.9
    assert fence.open
    seconds = 105.0
    assert not fence.open


def test_closing_takes_effect_at_once() -> None:
    fence = Fence(clock=lambda: 0.0)
    fence.open_until(10)
    fence.close()
    assert not fence.open


def test_without_a_lease_the_fence_is_always_open() -> None:
    assert Fence(always=True, clock=lambda: 1e18).open


def test_the_clock_never_goes_back() -> None:
    first = elapsed()
    assert elapsed() >= first
