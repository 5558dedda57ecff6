"""The budget of the run service: quotas in total and for each caller."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.service import budget
from runwright.service.budget import Budget, Hold, Limits, Quota, Readers, peer_owner, unlimited, user_owner
from runwright.service.errors import Code, ServiceError


def test_a_caller_gets_its_share_and_leaves_the_rest_to_others():
    quota = Quota("bytes of replies", 100, 60)
    with quota.hold("ann", 50) as ann:
        with pytest.raises(
            ServiceError, match=r"50 of the 60 that one caller may have are in use\. Wait for your"
        ) as caught:
            ann.add(11)
        assert caught.value.code == Code.RESOURCE_EXHAUSTED
        with quota.hold("bob", 40) as bob:
            with pytest.raises(ServiceError, match=r"90 of 100 are in use\. Try again in a moment"):
                bob.add(20)
            ann.add(10)
        assert (quota.used, quota.used_by("ann"), quota.used_by("bob")) == (60, 60, 0)
        ann.drop(5)
        ann.release()
        ann.release()
    assert quota.used == 0
    with pytest.raises(ServiceError, match=r"61 bytes of replies: expected at most 60 for one caller\. Ask for less"):
        quota.hold("ann", 61)


async def test_a_call_waits_until_others_have_ended():
    quota = Quota("bytes", 10, 10)
    first, second = quota.hold("ann", 10), quota.hold("bob")
    waiting = asyncio.create_task(second.add_when_free(5))
    await asyncio.sleep(0)
    first.drop(1)
    await asyncio.sleep(0)
    assert not waiting.done()
    first.release()
    await waiting
    assert quota.used_by("bob") == 5
    with pytest.raises(ServiceError):
        await second.add_when_free(6, seconds=0.01)
    with pytest.raises(ServiceError):
        await second.add_when_free(11)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-50, 50)), max_size=40))
def test_no_order_of_additions_and_drops_exceeds_a_limit_or_leaves_anything(steps: list[tuple[str, int]]):
    quota = Quota("bytes", 100, 40)
    holds = {owner: quota.hold(owner) for owner in "abc"}
    for owner, amount in steps:
        with contextlib.suppress(ServiceError):
            holds[owner].add(amount)
        holds[owner].drop(-amount)
        assert quota.used == sum(hold.amount for hold in holds.values()) <= 100
        assert all(quota.used_by(one) == hold.amount <= 40 for one, hold in holds.items())
    for hold in holds.values():
        hold.release()
    assert quota.used == 0 and not quota._by_owner


def test_the_largest_request_fits_into_the_share_of_one_caller():
    small = Budget(Limits(request_bytes=1000, body_bytes=2000))
    small.bodies.hold(user_owner("ann"), 1000)
    assert Budget(Limits()).calls.total == Limits().at_a_time
    unlimited().add(1 << 50)


async def receive(readers: Readers, hold: Hold, amount: int) -> str:
    """Receive a request that never comes."""
    try:
        await readers.take(hold, amount)
        async with asyncio.timeout(10) as timeout:
            with readers.reading(hold, timeout):
                await asyncio.sleep(10)
    except TimeoutError:
        return "ended"
    finally:
        hold.release()
    return "received"


async def test_requests_that_stall_make_room_for_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(budget, "STALL_SECONDS", 0.02)
    readers, quota = Readers(), Quota("bytes of requests", 8, 4)
    stalled = [asyncio.create_task(receive(readers, Hold(quota, owner), 4)) for owner in ("eve", "mallory")]
    await asyncio.sleep(0.05)
    with quota.hold("ann") as ann:
        await readers.take(ann, 2)
        assert await stalled[0] == "ended" and not stalled[1].done()
        await readers.take(ann, 2)
        with pytest.raises(ServiceError, match="Wait for your other calls"):
            await readers.take(ann, 1)
        assert not stalled[1].done(), "ann's own share is used up"
    stalled[1].cancel()


@pytest.mark.parametrize(
    ("one", "other"),
    [("10.0.0.1", "::ffff:10.0.0.1"), ("2001:db8::1", "2001:db8::ffff"), ("fe80::1%eth0", "fe80::2")],
)
def test_addresses_of_one_client_are_one_owner(one: str, other: str):
    assert peer_owner(one) == peer_owner(other)


def test_other_addresses_are_other_owners():
    names = ["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8:0:1::1", "unix", ""]
    assert len({peer_owner(name) for name in names}) == len(names)
    assert user_owner("10.0.0.1") != peer_owner("10.0.0.1")
