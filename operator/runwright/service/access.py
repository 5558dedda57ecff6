"""Who calls, and what they may do: TokenReview and SubjectAccessReview, remembered for seconds."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar, cast

from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, as_mapping, as_text
from runwright.service.calls import Access, Caller
from runwright.service.errors import Code, ServiceError, unavailable

logger = logging.getLogger(__name__)

POSITIVE_TTL = 10.0
"""How long a token or a right is taken for good: so long it still works once it was taken away."""

NEGATIVE_TTL = 2.0
"""How long a refusal holds: so long one waits after a right was given."""

MAX_CACHED = 10_000
MAX_TOKEN = 16_384
"""Characters of a token."""

ANONYMOUS_GROUP = "system:unauthenticated"
WARNING_SECONDS = 600.0
"""How often the log says again that requests without a token are let in."""

T = TypeVar("T")


class ReviewsPort(Protocol):
    """adapters.reviews.Reviews."""

    async def token(self, token: str, audiences: Sequence[str]) -> Json:
        """The status of a TokenReview."""
        ...

    async def access(self, spec: Mapping[str, Any]) -> bool:
        """Whether a SubjectAccessReview is allowed."""
        ...


class AnswerCache(Generic[T]):
    """Answers that hold for some seconds; whoever asks while one is under way gets that one."""

    def __init__(self, seconds: Callable[[T], float], clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._held: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()
        self._asking: dict[Hashable, asyncio.Task[T]] = {}

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer; an error is not remembered, and raised to all who have asked."""
        held = self._held.get(key)
        if held is not None and self._clock() < held[0]:
            return held[1]
        if key not in self._asking:
            task = asyncio.create_task(self._ask(key, ask))
            self._asking[key] = task
            task.add_done_callback(lambda done: (self._asking.pop(key, None), done.cancelled() or done.exception()))
        return await asyncio.shield(self._asking[key])

    async def _ask(self, key: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        answer = await ask()
        self._held[key] = self._clock() + self._seconds(answer), answer
        self._held.move_to_end(key)
        if len(self._held) > MAX_CACHED:
            self._held.popitem(last=False)
        return answer


class KubernetesAccess:
    """The Authorizer: Kubernetes decides, and an API server that is away lets nobody in."""

    def __init__(
        self,
        reviews: ReviewsPort,
        audiences: Sequence[str] = (),
        anonymous_user: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`anonymous_user` is who a request without a token counts as; empty: it is refused."""
        self._reviews = reviews
        self._audiences = tuple(audiences)
        self._anonymous_user = anonymous_user
        self._clock = clock
        self._told = -WARNING_SECONDS
        self._callers = AnswerCache[Caller | None](lambda caller: POSITIVE_TTL if caller else NEGATIVE_TTL, clock)
        self._rights = AnswerCache[bool](lambda allowed: POSITIVE_TTL if allowed else NEGATIVE_TTL, clock)

    async def identify(self, authorization: str) -> Caller:
        """Who sends this `authorization` header. Raises ServiceError (UNAUTHENTICATED, UNAVAILABLE)."""
        scheme, _, token = authorization.strip().partition(" ")
        token = token.strip()
        if not authorization.strip() and self._anonymous_user:
            self.warn()
            return Caller(self._anonymous_user, groups=(ANONYMOUS_GROUP,))
        if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN:
            raise unauthenticated("expected the header `authorization: Bearer TOKEN`")
        caller = await self._review(token)
        if caller is None:
            raise unauthenticated("the bearer token is not valid, or has expired")
        return caller

    def warn(self) -> None:
        """Say loudly, now and then, that somebody may come in without a token."""
        if self._anonymous_user and self._clock() - self._told >= WARNING_SECONDS:
            self._told = self._clock()
            logger.warning("requests WITHOUT A TOKEN are let in as user %s (--anonymous-user)", self._anonymous_user)

    async def _review(self, token: str) -> Caller | None:
        async def ask() -> Caller | None:
            return reviewed_caller(await self._reviews.token(token, self._audiences), self._audiences)

        try:
            # The token itself is kept nowhere.
            return await self._callers.get(hashlib.sha256(token.encode("utf-8", "replace")).digest(), ask)
        except ApiError as error:
            raise unavailable(f"the token cannot be checked now: {error.reason}") from error

    async def require(self, caller: Caller, access: Access) -> None:
        """Return if the caller has the right. Raises ServiceError (PERMISSION_DENIED, UNAVAILABLE)."""
        extra = tuple(sorted((key, tuple(values)) for key, values in caller.extra.items()))
        key = (caller.user, caller.uid, caller.groups, extra, access)
        try:
            allowed = await self._rights.get(key, lambda: self._reviews.access(review_spec(caller, access)))
        except ApiError as error:
            raise unavailable(f"the right to do that cannot be checked now: {error.reason}") from error
        if not allowed:
            raise ServiceError(Code.PERMISSION_DENIED, denial_message(caller, access))


def reviewed_caller(status: Json, audiences: Sequence[str] = ()) -> Caller | None:
    """Who a TokenReview names; None for a token that is not good, or is for none of these audiences.

    A reviewer that knows no audiences names none in its status, and has looked at its own only (Kubernetes, TokenReview).
    """
    user = as_mapping(status.get("user"))
    name = as_text(user.get("username"))
    if status.get("authenticated") is not True or not name:
        return None
    good_for = status.get("audiences")
    if audiences and set(audiences).isdisjoint(cast(list[object], good_for) if isinstance(good_for, list) else ()):
        return None
    groups = user.get("groups")
    extra = {
        str(key): tuple(str(value) for value in cast(list[object], values))
        for key, values in as_mapping(user.get("extra")).items()
        if isinstance(values, list)
    }
    return Caller(name, as_text(user.get("uid")), tuple(map(str, cast(list[object], groups or ()))), extra)


def review_spec(caller: Caller, access: Access) -> dict[str, Any]:
    """The `spec` of a SubjectAccessReview."""
    attributes = {
        "verb": access.verb,
        "group": access.group,
        "resource": access.resource,
        "subresource": access.subresource,
        "namespace": access.namespace,
        "name": access.name,
    }
    return {
        "user": caller.user,
        "uid": caller.uid,
        "groups": [*caller.groups],
        "extra": {key: [*values] for key, values in caller.extra.items()},
        "resourceAttributes": {key: value for key, value in attributes.items() if value},
    }


def denial_message(caller: Caller, access: Access) -> str:
    """What right is missing, in the words of Kubernetes."""
    resource = "/".join(part for part in (access.resource, access.subresource) if part)
    where = f'in the namespace "{access.namespace}"' if access.namespace else "at the cluster scope"
    return f'User "{caller.user}" cannot {access.verb} resource "{resource}" in API group "{access.group}" {where}'


def unauthenticated(message: str) -> ServiceError:
    """Nobody is known to have sent the request."""
    return ServiceError(Code.UNAUTHENTICATED, f"Request header error: {message}")
