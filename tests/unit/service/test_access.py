"""Authentication and authorization by reviews of the API server, and their cache."""

from __future__ import annotations

import asyncio
import json
import logging
import string
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.kube.errors import ApiError
from runwright.kube.resource import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS
from runwright.service.access import NEGATIVE_TTL, POSITIVE_TTL, KubernetesAccess, review_spec
from runwright.service.budget import Budget, Limits
from runwright.service.calls import Access, Caller
from runwright.service.errors import Code, ServiceError
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient

ANN = {"username": "ann", "uid": "u", "groups": ["devs"], "extra": {"scopes": ["a", "b"]}}


class Reviews:
    """An API server that reviews tokens and rights as the test says."""

    def __init__(self) -> None:
        self.client = FakeClient(ApiServer(lambda: datetime(2026, 11, 24, 12, tzinfo=UTC)))
        self.client.replies = {TOKEN_REVIEWS: self.review_token, SUBJECT_ACCESS_REVIEWS: self.review_access}
        self.client.before = self.fail
        self.users: dict[str, dict[str, Any]] = {"good": ANN}
        self.audiences: list[str] | None = ["runwright"]
        self.allowed: object = True
        self.failure: ApiError | None = None
        self.tokens: list[Mapping[str, Any]] = []
        """The `spec` of each TokenReview."""
        self.specs: list[Mapping[str, Any]] = []
        """The `spec` of each SubjectAccessReview."""

    def fail(self, call: str) -> None:
        if self.failure:
            raise self.failure

    def review_token(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        assert (body["apiVersion"], body["kind"]) == ("authentication.k8s.io/v1", "TokenReview")
        self.tokens.append(body["spec"])
        user = self.users.get(body["spec"]["token"])
        return {
            "status": {"authenticated": True, "user": user, "audiences": self.audiences} if user else {"error": "no"}
        }

    def review_access(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        assert (body["apiVersion"], body["kind"]) == ("authorization.k8s.io/v1", "SubjectAccessReview")
        self.specs.append(body["spec"])
        return {"status": {"allowed": self.decide(body["spec"])}}

    def decide(self, spec: Mapping[str, Any]) -> object:
        return self.allowed


class Clock:
    at = 0.0

    def __call__(self) -> float:
        return self.at


def parts(**options: Any) -> tuple[KubernetesAccess, Reviews, Clock]:
    reviews, clock = Reviews(), Clock()
    return KubernetesAccess(reviews.client, clock=clock, **options), reviews, clock


async def code_of(awaitable: Any) -> Code:
    with pytest.raises(ServiceError) as caught:
        await awaitable
    return caught.value.code


GET = Access("get", "team", name="run")


async def test_a_token_is_reviewed_once_for_all_callers_and_again_after_its_ttl():
    access, reviews, clock = parts(audiences=("runwright",))
    callers = await asyncio.gather(*(access.identify("Bearer good") for _ in range(200)))
    assert set(map(id, callers)) == {id(callers[0])}
    assert callers[0] == Caller("ann", "u", ("devs",), {"scopes": ("a", "b")})
    assert reviews.tokens == [{"token": "good", "audiences": ["runwright"]}]
    clock.at = POSITIVE_TTL - 1
    await access.identify("bearer   good ")
    assert len(reviews.tokens) == 1
    clock.at = POSITIVE_TTL + 1
    reviews.users.clear()
    assert await code_of(access.identify("Bearer good")) == Code.UNAUTHENTICATED, "the token was revoked"


@pytest.mark.parametrize("named", [None, [], ["vault", "other"]])
async def test_a_token_for_another_audience_is_refused(named: list[str] | None):
    """Also where the reviewer does not support audiences, and accepts the token for its own."""
    access, reviews, _ = parts(audiences=("runwright", "kfp"))
    reviews.audiences = named
    assert await code_of(access.identify("Bearer good")) == Code.UNAUTHENTICATED
    access, reviews, _ = parts(audiences=("kfp", "runwright"))
    assert (await access.identify("Bearer good")).user == "ann"
    access, reviews, _ = parts()
    reviews.audiences = named
    assert (await access.identify("Bearer good")).user == "ann", "no audience is required"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YTpi", "good", "Bearer bad", "Bearer " + "x" * 20_000]
)
async def test_a_header_without_a_valid_token_is_refused(header: str):
    access, _, _ = parts()
    assert await code_of(access.identify(header)) == Code.UNAUTHENTICATED


async def test_a_refused_token_is_reviewed_again_after_the_negative_ttl():
    access, reviews, clock = parts()
    assert await code_of(access.identify("Bearer new")) == Code.UNAUTHENTICATED
    reviews.users["new"] = ANN
    assert await code_of(access.identify("Bearer new")) == Code.UNAUTHENTICATED
    clock.at = NEGATIVE_TTL + 0.1
    assert (await access.identify("Bearer new")).user == "ann"


async def test_an_access_review_names_caller_and_attributes_and_is_cached():
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


async def test_a_denial_names_the_missing_right_and_expires():
    access, reviews, clock = parts()
    reviews.allowed = False
    with pytest.raises(ServiceError) as caught:
        await access.require(Caller("bob"), GET)
    assert caught.value.code == Code.PERMISSION_DENIED
    assert 'User "bob" cannot get resource "pipelineruns"' in caught.value.message and '"team"' in caught.value.message
    reviews.allowed, clock.at = True, NEGATIVE_TTL + 0.1
    await access.require(Caller("bob"), GET)


async def test_an_unreachable_api_server_accepts_nobody_and_is_not_cached():
    access, reviews, _ = parts()
    reviews.failure = ApiError(0, "Unreachable", "gone")
    assert await code_of(access.identify("Bearer good")) == Code.UNAVAILABLE
    assert await code_of(access.require(Caller("ann"), GET)) == Code.UNAVAILABLE
    reviews.failure = None
    assert (await access.identify("Bearer good")).user == "ann"
    await access.require(Caller("ann"), GET)


async def test_a_request_without_a_token_is_the_anonymous_user_with_a_warning_now_and_then(
    caplog: pytest.LogCaptureFixture,
):
    access, reviews, clock = parts(anonymous_user="system:anonymous")
    with caplog.at_level(logging.WARNING):
        caller = await access.identify("")
        await access.identify("")
    assert caller == Caller("system:anonymous", groups=("system:unauthenticated",)) and not reviews.tokens
    assert [record.message for record in caplog.records] == [
        "requests WITHOUT A TOKEN are accepted, as user system:anonymous (--anonymous-user)"
    ]
    clock.at = 3600
    with caplog.at_level(logging.WARNING):
        await access.identify("")
    assert len(caplog.records) == 2
    assert await code_of(access.identify("Bearer bad")) == Code.UNAUTHENTICATED, "an invalid token is not anonymous"


async def test_a_cancelled_caller_does_not_cancel_the_review_of_others():
    access, reviews, _ = parts()
    impatient = asyncio.create_task(access.identify("Bearer good"))
    await asyncio.sleep(0)
    patient = asyncio.create_task(access.identify("Bearer good"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).user == "ann" and len(reviews.tokens) == 1
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("runwright.service.access.MAX_CACHED", 10)
    access, reviews, _ = parts()
    for number in range(50):
        assert await code_of(access.identify(f"Bearer bad{number}")) == Code.UNAUTHENTICATED
        await code_of(access.identify(f"Bearer bad{number}"))
    assert len(reviews.tokens) == 50 and len(access._callers._results) == 10 and not len(access._callers._reviews)


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
async def test_a_cached_decision_is_never_used_for_another_caller_or_right(
    asked: list[tuple[Caller, Access, int]], salt: int
):
    """Whatever callers have in common, each gets the result of a review of its own."""
    clock = Clock()

    class Deciding(Reviews):
        def decide(self, spec: Mapping[str, Any]) -> object:
            return decision(spec)

    def decision(spec: Mapping[str, Any]) -> bool:
        return zlib.crc32(json.dumps([spec, salt], sort_keys=True).encode()) % 2 == 0

    access = KubernetesAccess(Deciding().client, clock=clock)
    for caller, right, seconds in asked:
        clock.at += seconds
        try:
            await access.require(caller, right)
            allowed = True
        except ServiceError as error:
            assert error.code == Code.PERMISSION_DENIED
            allowed = False
        assert allowed == decision(review_spec(caller, right))


async def test_the_cache_holds_no_token():
    access, _, _ = parts()
    await access.identify("Bearer good")
    assert "good" not in repr(access._callers._results)


@pytest.mark.parametrize("answer", [False, None, "true", 1])
async def test_a_review_without_a_plain_true_allows_nothing(answer: object):
    access, reviews, _ = parts()
    reviews.allowed = answer
    assert await code_of(access.require(Caller("ann"), GET)) == Code.PERMISSION_DENIED


async def test_a_review_without_audiences_names_none():
    access, reviews, _ = parts()
    await access.identify("Bearer good")
    assert reviews.tokens == [{"token": "good"}]


async def test_a_review_that_the_api_server_refuses_is_unavailable():
    access, reviews, _ = parts()
    reviews.failure = ApiError(403, "Forbidden", "no")
    assert await code_of(access.identify("Bearer good")) == Code.UNAVAILABLE
    assert await code_of(access.require(Caller("ann"), GET)) == Code.UNAVAILABLE


async def test_reviews_of_unknown_tokens_are_bounded_for_each_client_and_a_refused_one_keeps_its_place(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("runwright.service.access.REFUSED_SECONDS", 0.05)
    budget = Budget(Limits())
    access, reviews, clock = parts(budget=budget)
    assert (await access.identify("Bearer good", "flooding")).user == "ann"
    flood = [asyncio.create_task(code_of(access.identify(f"Bearer bad{n}", "flooding"))) for n in range(100)]
    await asyncio.sleep(0.01)
    assert len(reviews.tokens) == 5 and budget.reviews.used == 4
    clock.at = POSITIVE_TTL + 1
    assert (await access.identify("Bearer good", "flooding")).user == "ann", "a token that was valid does not wait"
    reviews.users["other"] = ANN
    assert (await access.identify("Bearer other", "elsewhere")).user == "ann"
    codes = [await task for task in flood]
    assert codes.count(Code.UNAUTHENTICATED) == 32 and codes.count(Code.RESOURCE_EXHAUSTED) == 68


async def test_names_that_no_object_has_are_neither_reviewed_nor_cached():
    access, reviews, _ = parts()
    for right in (Access("get", "x" * 254), Access("get", "team", name="x" * 1_000_000)):
        assert await code_of(access.require(Caller("ann"), right)) == Code.INVALID_ARGUMENT
    assert not reviews.specs and not access._rights._results
