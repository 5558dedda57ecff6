"""Authentication by TokenReview and authorization by SubjectAccessReview, both cached for seconds."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar, cast

from cachetools import TLRUCache, TTLCache

from runwright.kube.client import Client
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, as_mapping, as_text, status_of
from runwright.kube.resource import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS
from runwright.service.budget import Budget, Limits
from runwright.service.calls import ANONYMOUS_GROUP, Access, Caller
from runwright.service.errors import Code, ServiceError, invalid_argument, unavailable
from runwright.service.single_flight import SingleFlight

logger = logging.getLogger(__name__)

POSITIVE_TTL = 10.0
"""Seconds that a positive review is cached: a revoked token, or a right that was taken away, works this long."""

NEGATIVE_TTL = 2.0
"""Seconds that a negative review is cached: a new right takes effect after this time at the latest."""

ACCEPTED_TTL = 3600.0
"""Seconds that a valid token is preferred in later reviews."""

MAX_CACHED = 10_000
"""Reviews of each kind that are cached; beyond that, the least recently used one is dropped."""

MAX_TOKEN = 16_384
"""Characters of a token."""

REFUSED_SECONDS = 0.25
"""How long a refused token holds its place among the reviews: it bounds how often a client can make the API server refuse."""

MAX_NAME = 253
"""Characters of the name of any object or namespace (Kubernetes, RFC 1123 subdomains)."""

WARNING_SECONDS = 600.0
"""Shortest time between two warnings that requests without a token are accepted."""

T = TypeVar("T")


class ReviewCache(Generic[T]):
    """Results of reviews by key. Each expires after POSITIVE_TTL or NEGATIVE_TTL; a review runs once for all who wait for it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._results = TLRUCache[Hashable, T, float](
            MAX_CACHED, lambda _, result, now: now + (POSITIVE_TTL if result else NEGATIVE_TTL), timer=clock
        )
        self._reviews = SingleFlight[T]()

    async def get(self, key: Hashable, review: Callable[[], Awaitable[T]]) -> T:
        """Return the cached result of the key, else that of `review`. Raises what it raises; errors are not cached."""
        try:
            return self._results[key]
        except KeyError:
            return await self._reviews.call(key, lambda: self._review(key, review))

    async def _review(self, key: Hashable, review: Callable[[], Awaitable[T]]) -> T:
        result = await review()
        self._results[key] = result
        return result


class KubernetesAccess:
    """The Authorizer that asks the API server. While the API server is unreachable, it accepts nobody."""

    def __init__(
        self,
        client: Client,
        audiences: Sequence[str] = (),
        anonymous_user: str = "",
        clock: Callable[[], float] = time.monotonic,
        budget: Budget | None = None,
    ) -> None:
        """`anonymous_user` is the user of requests without a token; where it is empty, they are refused.

        `budget` bounds the token reviews in flight, in total and for each client.
        """
        self._client = client
        self._audiences = tuple(audiences)
        self._anonymous_user = anonymous_user
        self._clock = clock
        self._budget = budget or Budget(Limits())
        self._warned_at = -WARNING_SECONDS
        self._callers = ReviewCache[Caller | None](clock)
        self._rights = ReviewCache[bool](clock)
        self._accepted = TTLCache[bytes, None](MAX_CACHED, ACCEPTED_TTL, timer=clock)
        """Digests of tokens that were valid: their next review does not wait behind those of unknown tokens."""

    async def identify(self, authorization: str, peer: str = "") -> Caller:
        """Return the caller who sent this `authorization` header.

        Raises ServiceError: UNAUTHENTICATED, UNAVAILABLE, RESOURCE_EXHAUSTED where too many tokens of this client are reviewed.
        """
        scheme, _, token = authorization.strip().partition(" ")
        token = token.strip()
        if not authorization.strip() and self._anonymous_user:
            self.warn()
            return Caller(self._anonymous_user, groups=(ANONYMOUS_GROUP,))
        if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN:
            raise unauthenticated("expected the header `authorization: Bearer TOKEN`")
        try:
            caller = await self._callers.get(token_digest(token), lambda: self._review_token(token, peer))
        except ApiError as error:
            raise unavailable(f"the token cannot be checked now: {error.reason}") from error
        if caller is None:
            raise unauthenticated("the bearer token is not valid, or has expired")
        return caller

    def warn(self) -> None:
        """Log a warning, once in WARNING_SECONDS, where requests without a token are accepted."""
        if self._anonymous_user and self._clock() - self._warned_at >= WARNING_SECONDS:
            self._warned_at = self._clock()
            logger.warning("requests WITHOUT A TOKEN are accepted, as user %s (--anonymous-user)", self._anonymous_user)

    async def require(self, caller: Caller, access: Access) -> None:
        """Return if the caller has the right. Raises ServiceError (PERMISSION_DENIED, UNAVAILABLE)."""
        if len(access.namespace) > MAX_NAME or len(access.name) > MAX_NAME:
            field = "namespace" if len(access.namespace) > MAX_NAME else "name"
            raise invalid_argument(f"{field}: expected at most {MAX_NAME} characters")
        extra = tuple(sorted((key, tuple(values)) for key, values in caller.extra.items()))
        key = (caller.user, caller.uid, caller.groups, extra, access)
        try:
            allowed = await self._rights.get(key, lambda: self._review_access(caller, access))
        except ApiError as error:
            raise unavailable(f"the right to do that cannot be checked now: {error.reason}") from error
        if not allowed:
            raise ServiceError(Code.PERMISSION_DENIED, denial_message(caller, access))

    async def _review_token(self, token: str, peer: str) -> Caller | None:
        digest = token_digest(token)
        if digest in self._accepted:
            # Reviewed once in POSITIVE_TTL at most, whatever other clients of this address send.
            caller = await self._send_token_review(token)
            if caller is None:
                self._accepted.pop(digest, None)
            return caller
        # A call that was cancelled leaves its review running, so the review itself holds what it takes.
        with self._budget.unidentified.hold(peer, 1):
            place = self._budget.reviews.hold(peer)
            await place.add_when_free(1)
            kept = 0.0
            try:
                caller = await self._send_token_review(token)
                if caller:
                    self._accepted[digest] = None
                kept = 0.0 if caller else REFUSED_SECONDS
                return caller
            finally:
                asyncio.get_running_loop().call_later(kept, place.release)

    async def _send_token_review(self, token: str) -> Caller | None:
        spec: dict[str, Any] = {"token": token}
        if self._audiences:
            spec["audiences"] = [*self._audiences]
        body = {"apiVersion": TOKEN_REVIEWS.api_version, "kind": "TokenReview", "spec": spec}
        return reviewed_caller(status_of(await self._client.create(TOKEN_REVIEWS, body)), self._audiences)

    async def _review_access(self, caller: Caller, access: Access) -> bool:
        body = {
            "apiVersion": SUBJECT_ACCESS_REVIEWS.api_version,
            "kind": "SubjectAccessReview",
            "spec": review_spec(caller, access),
        }
        return status_of(await self._client.create(SUBJECT_ACCESS_REVIEWS, body)).get("allowed") is True


def token_digest(token: str) -> bytes:
    """What stands for a token in caches: the token itself is kept nowhere."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def reviewed_caller(status: Json, audiences: Sequence[str] = ()) -> Caller | None:
    """The caller in the status of a TokenReview; None for a token that is invalid, or valid for none of these audiences.

    A reviewer that does not support audiences returns none in its status, and checked only its own (Kubernetes, TokenReview).
    """
    user = as_mapping(status.get("user"))
    name = as_text(user.get("username"))
    if status.get("authenticated") is not True or not name:
        return None
    valid_for = status.get("audiences")
    if audiences and set(audiences).isdisjoint(cast(list[object], valid_for) if isinstance(valid_for, list) else ()):
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
    """The message for a missing right, as the API server words it."""
    resource = "/".join(part for part in (access.resource, access.subresource) if part)
    where = f'in the namespace "{access.namespace}"' if access.namespace else "at the cluster scope"
    return f'User "{caller.user}" cannot {access.verb} resource "{resource}" in API group "{access.group}" {where}'


def unauthenticated(message: str) -> ServiceError:
    """The error for a request without a valid token."""
    return ServiceError(Code.UNAUTHENTICATED, f"Request header error: {message}")
