"""The retention policy of each namespace: read when it is first asked for, and kept up by its watch."""

from __future__ import annotations

import asyncio
import logging

from pydantic import ValidationError

from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.core.observe import mapping
from runwright.core.retention import with_defaults
from runwright.ports import Cluster, Json

logger = logging.getLogger(__name__)

REREAD_SECONDS = 600.0
"""How long a policy is believed without having been told of: a watch event may be lost."""


class Policies:
    """What holds in each namespace where a finished run was seen."""

    def __init__(self, cluster: Cluster, default: RetentionPolicySpec) -> None:
        self._cluster = cluster
        self._default = default
        self._known: dict[str, tuple[RetentionPolicySpec, float]] = {}

    async def of(self, namespace: str) -> RetentionPolicySpec:
        """The namespace's policy with the operator's defaults filled in. Raises ApiError where it cannot be read.

        Never a guess: what is deleted under the wrong policy is gone.
        """
        known = self._known.get(namespace)
        if known is None or asyncio.get_running_loop().time() - known[1] > REREAD_SECONDS:
            self.told(namespace, await self._cluster.get_policy(namespace))
            known = self._known[namespace]
        return known[0]

    def told(self, namespace: str, body: Json | None) -> bool:
        """Take in the namespace's policy, or that it has none; gives whether that changes what holds there."""
        policy = with_defaults(policy_in(namespace, body) if body is not None else None, self._default)
        before = self._known.get(namespace)
        self._known[namespace] = policy, asyncio.get_running_loop().time()
        return before is not None and before[0] != policy


def policy_in(namespace: str, body: Json) -> RetentionPolicySpec:
    """The policy in an object, without those of its fields that cannot be read: they remove nothing."""
    spec = dict(mapping(body.get("spec")))
    try:
        return RetentionPolicySpec.model_validate(spec)
    except ValidationError as error:
        bad = {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}
        logger.warning(
            "RetentionPolicy of namespace %s: left out, since they cannot be read: %s", namespace, sorted(bad)
        )
    return RetentionPolicySpec.model_validate({name: value for name, value in spec.items() if name not in bad})
