"""Who is let in: what Kubernetes says, for some seconds, and nobody when it says nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import string
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.kube.errors import ApiError
from runwright.service.access import NEGATIVE_TTL, POSITIVE_TTL, KubernetesAccess, review_spec
from runwright.service.calls import Access, Caller
from runwright.service.errors import Code, ServiceError

ANN = {"username": "ann", "uid": "u", "groups": ["devs"], "extra": {"scopes": ["a", "b"]}}


class Reviews:
    def __init__(self) -> None:
        self.users: dict[str, dict[str, Any]] = {"good": ANN}
        self.audiences: list[str] | None = ["runwright"]
        self.allowed = True
        self.failure: ApiError | None = None
        self.tokens: list[tuple[str, tuple[str, ...]]] = []
        self.specs: list[Mapping[str, Any]] = []

    async def token(self, token: str, audiences: Sequence[str]) -> Mapping[str, Any]:
        self.tokens.append((token, tuple(audiences)))
        await asyncio.sleep(0)
        if self.failure:
            raise self.failure
        user = self.users.get(token)
        return {"authenticated": True, "user": user, "audiences": self.audiences} if user else {"error": "no"}

    async def access(self, spec: Mapping[str, Any]) -> bool:
        self.specs.append(spec)
        await asyncio.sleep(0)
        if self.failure:
            raise self.failure
        return self.allowed


class Clock:
    at = 0.0

    def __call__(self) -> float:
        return self.at


def parts(**options: Any) -> tuple[KubernetesAccess, Reviews, Clock]:
    reviews, clock = Reviews(), Clock()
    return KubernetesAccess(reviews, clock=clock, **options), reviews, clock


async def code_of(awaitable: Any) -> Code:
    with pytest.raises(ServiceError) as caught:
        await awaitable
    return caught.value.code


GET = Access("get", "team", name="run")


async def test_a_token_is_who_kubernetes_says_and_asked_for_once():
    access, reviews, clock = parts(audiences=("runwright",))
    callers = await asyncio.gather(*(access.identify("Bearer good") for _ in range(200)))
    assert set(map(id, callers)) == {id(callers[0])}
    assert callers[0] == Caller("ann", "u", ("devs",), {"scopes": ("a", "b")})
    assert reviews.tokens == [("good", ("runwright",))]
    clock.at = POSITIVE_TTL - 1
    await access.identify("bearer   good ")
    assert len(reviews.tokens) == 1
    clock.at = POSITIVE_TTL + 1
    reviews.users.clear()
    assert await code_of(access.identify("Bearer good")) == Code.UNAUTHENTICATED, "it was taken away"


@pytest.mark.parametrize("named", [None, [], ["vault", "other"]])
async def test_a_token_for_another_audience_is_refused(named: list[str] | None):
    """Also where the reviewer knows nothing of audiences, and calls the token good for its own."""
    access, reviews, _ = parts(audiences=("runwright", "kfp"))
    reviews.audiences = named
    assert await code_of(access.identify("Bearer good")) == Code.UNAUTHENTICATED
    access, reviews, _ = parts(audiences=("kfp", "runwright"))
    assert (await access.identify("Bearer good")).user == "ann"
    access, reviews, _ = parts()
    reviews.audiences = named
    assert (await access.identify("Bearer good")).user == "ann", "none is asked for"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YTpi", "good", "Bearer bad", "Bearer " + "x" * 20_000]
)
async def test_what_is_no_token_is_refused(header: str):
    access, _, _ = parts()
    assert await code_of(access.identify(header)) == Code.UNAUTHENTICATED


async def test_a_refusal_holds_for_a_moment_only():
    access, reviews, clock = parts()
    assert await code_of(access.identify("Bearer new")) == Code.UNAUTHENTICATED
    reviews.users["new"] = ANN
    assert await code_of(access.identify("Bearer new")) == Code.UNAUTHENTICATED
    clock.at = NEGATIVE_TTL + 0.1
    assert (await access.identify("Bearer new")).user == "ann"


async def test_rights_are_asked_with_all_that_is_known():
    access, reviews, _ = parts()
    caller = await access.identify("Bearer good")
    await asyncio.gather(*(access.require(caller, GET) for _ in range(50)))
    assert reviews.specs == [
        {
            "user": "ann",
            "uid": "u",
            "groups": ["devs"],
            "extra": {"scopes": ["a", "b"]},
            "resourceAttributes": {
                "verb": "get",
                "group": "runwright.dev",
                "resource": "pipelineruns",
                "namespace": "team",
                "name": "run",
            },
        }
    ]
    await access.require(caller, Access("get", "team", name="run", subresource="artifacts"))
    assert len(reviews.specs) == 2


async def test_what_is_not_allowed_is_named():
    access, reviews, clock = parts()
    reviews.allowed = False
    with pytest.raises(ServiceError) as caught:
        await access.require(Caller("bob"), GET)
    assert caught.value.code == Code.PERMISSION_DENIED
    assert 'User "bob" cannot get resource "pipelineruns"' in caught.value.message and '"team"' in caught.value.message
    reviews.allowed, clock.at = True, NEGATIVE_TTL + 0.1
    await access.require(Caller("bob"), GET)


async def test_an_api_server_that_is_away_lets_nobody_in_and_is_not_remembered():
    access, reviews, _ = parts()
    reviews.failure = ApiError(0, "Unreachable", "gone")
    assert await code_of(access.identify("Bearer good")) == Code.UNAVAILABLE
    assert await code_of(access.require(Caller("ann"), GET)) == Code.UNAVAILABLE
    reviews.failure = None
    assert (await access.identify("Bearer good")).user == "ann"
    await access.require(Caller("ann"), GET)


async def test_without_a_token_one_is_nobody_unless_that_is_switched_on_and_told(caplog: pytest.LogCaptureFixture):
    access, reviews, clock = parts(anonymous_user="system:anonymous")
    with caplog.at_level(logging.WARNING):
        caller = await access.identify("")
        await access.identify("")
    assert caller == Caller("system:anonymous", groups=("system:unauthenticated",)) and not reviews.tokens
    assert [record.message for record in caplog.records] == [
        "requests WITHOUT A TOKEN are let in as user system:anonymous (--anonymous-user)"
    ]
    clock.at = 3600
    with caplog.at_level(logging.WARNING):
        await access.identify("")
    assert len(caplog.records) == 2
    assert await code_of(access.identify("Bearer bad")) == Code.UNAUTHENTICATED, "a bad token makes nobody anonymous"


async def test_one_who_gives_up_takes_the_answer_from_nobody():
    access, reviews, _ = parts()
    impatient = asyncio.create_task(access.identify("Bearer good"))
    await asyncio.sleep(0)
    patient = asyncio.create_task(access.identify("Bearer good"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).user == "ann" and len(reviews.tokens) == 1
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("runwright.service.access.MAX_CACHED", 10)
    access, reviews, _ = parts()
    for number in range(50):
        assert await code_of(access.identify(f"Bearer bad{number}")) == Code.UNAUTHENTICATED
        await code_of(access.identify(f"Bearer bad{number}"))
    assert len(reviews.tokens) == 50 and len(access._callers._held) == 10 and not access._callers._asking


NAMES = st.text(string.ascii_lowercase + ":/|,\0 ", max_size=3)
CALLERS = st.builds(
    Caller,
    st.sampled_from(["a", "b"]),
    st.sampled_from(["", "u"]),
    st.lists(NAMES, max_size=2).map(tuple),
    st.dictionaries(NAMES, st.lists(NAMES, max_size=2).map(tuple), max_size=2),
)
ACCESSES = st.builds(Access, st.sampled_from(["get", "list"]), NAMES, subresource=NAMES, name=NAMES)


@given(st.lists(st.tuples(CALLERS, ACCESSES, st.integers(0, 20)), max_size=30), st.integers(1, 7))
async def test_nobody_is_answered_with_what_was_said_of_another(asked: list[tuple[Caller, Access, int]], salt: int):
    """Whatever callers share, and however fast they ask: each has the answer to his own review, not older than it may be."""
    clock = Clock()

    class Deciding(Reviews):
        async def access(self, spec: Mapping[str, Any]) -> bool:
            return decision(spec)

    def decision(spec: Mapping[str, Any]) -> bool:
        return zlib.crc32(json.dumps([spec, salt], sort_keys=True).encode()) % 2 == 0

    access = KubernetesAccess(Deciding(), clock=clock)
    for caller, right, seconds in asked:
        clock.at += seconds
        try:
            await access.require(caller, right)
            allowed = True
        except ServiceError as error:
            assert error.code == Code.PERMISSION_DENIED
            allowed = False
        assert allowed == decision(review_spec(caller, right))


async def test_no_token_is_kept():
    access, _, _ = parts()
    await access.identify("Bearer good")
    assert "good" not in repr(access._callers._held)
