"""The retention policy of each namespace: read at its first use, then updated by its watch."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable

from pydantic import ValidationError

from runwright.api.resources import RETENTION_POLICIES
from runwright.api.retentionpolicy import POLICY_NAME, RetentionPolicySpec
from runwright.core.retention.periods import fill_policy
from runwright.kube.client import Client, get_if_served
from runwright.kube.objects import Json, Key, spec_of

logger = logging.getLogger(__name__)

REREAD_SECONDS = 600.0
"""Age, in seconds, after which a policy is read again: a watch event may be lost."""


class Policies:
    """The policies of namespaces with finished runs."""

    def __init__(
        self,
        client: Client,
        default: RetentionPolicySpec,
        changed: Callable[[str], None],
        begins: Callable[[str], None],
    ) -> None:
        """`changed` is called with each namespace that has another policy now than its runs may have been settled under.

        `begins` is called with each namespace that has a policy, seen for the first time, that deletes runs: it may be new.
        An empty name stands for all namespaces, if the operator's default deletes runs.
        """
        self._client = client
        self._default = default
        self._changed = changed
        self._begins = begins
        if default.delete_after is not None:
            begins("")
        self._known: dict[str, tuple[RetentionPolicySpec, float]] = {}
        self._reading: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def of(self, namespace: str) -> RetentionPolicySpec:
        """The namespace's policy, with the operator's defaults filled in. Raises ApiError if it cannot be read.

        There is no fallback: runs deleted under a wrong policy are lost.
        """
        if self._fresh(namespace) is None:
            # One read for all concurrent callers, such as all workers at the start.
            async with self._reading[namespace]:
                if self._fresh(namespace) is None:
                    await self._read(namespace)
        return self._known[namespace][0]

    def _fresh(self, namespace: str) -> RetentionPolicySpec | None:
        known = self._known.get(namespace)
        fresh = known is not None and asyncio.get_running_loop().time() - known[1] <= REREAD_SECONDS
        return known[0] if known is not None and fresh else None

    async def _read(self, namespace: str) -> None:
        known = self._known.get(namespace)
        body = await get_if_served(self._client, RETENTION_POLICIES, Key(namespace, POLICY_NAME))
        # Otherwise the watch has reported the policy meanwhile, and the read may be older.
        if self._known.get(namespace) is known:
            self.update(namespace, body)

    def update(self, namespace: str, body: Json | None) -> None:
        """Update the namespace's policy; None for a namespace without one."""
        policy = policy_in(namespace, body, self._default) if body is not None else self._default
        before = self._known.get(namespace)
        self._known[namespace] = policy, asyncio.get_running_loop().time()
        if before is None and policy.delete_after not in (None, self._default.delete_after):
            self._begins(namespace)
        if before is not None and before[0] != policy:
            self._changed(namespace)


def policy_in(namespace: str, body: Json, default: RetentionPolicySpec) -> RetentionPolicySpec:
    """Read a policy from an object. A field that cannot be read is unset: the default does not apply to it."""
    spec = dict(spec_of(body))
    try:
        return fill_policy(RetentionPolicySpec.model_validate(spec), default)
    except ValidationError as error:
        bad = {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}
        logger.warning(
            "RetentionPolicy of namespace %s: ignored fields that cannot be read: %s", namespace, sorted(bad)
        )
    readable = RetentionPolicySpec.model_validate({name: value for name, value in spec.items() if name not in bad})
    unread = [name for name, field in RetentionPolicySpec.model_fields.items() if field.alias in bad]
    return fill_policy(readable, default.model_copy(update=dict.fromkeys(unread)))
