"""The namespace of a call, and the caller's rights in it.

KFP has two modes (`multi_user` of its health check). In single-user mode everything is in one namespace, and clients name
none. In multi-user mode each experiment has a namespace, and its runs are in the same one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from runwright.api.resources import PIPELINE_EXPERIMENTS, PIPELINE_RUNS
from runwright.kube.names import is_namespace_name
from runwright.kube.objects import Key
from runwright.service.calls import Access, Authorizer, Call
from runwright.service.contract.resource_reference_pb2 import ResourceKey, ResourceReference, ResourceType
from runwright.service.errors import Code, ServiceError, invalid_argument, not_found, unavailable
from runwright.service.experiment_rows import ExperimentRow
from runwright.service.index import Index
from runwright.service.order import Row
from runwright.service.rows import RunRow

WAIT_SECONDS = 0.5
"""How long to wait for an unknown id: another replica may have just created the object."""

MAX_SHOWN = 256
"""Characters of a client's text that a message repeats."""


class KeyedRow(Row, Protocol):
    """An object in an index that has a place in the cluster."""

    @property
    def key(self) -> Key:
        """Its namespace and name."""
        ...


R = TypeVar("R", bound=KeyedRow)


class Tenancy:
    """The namespaces, and the rights in them."""

    def __init__(
        self, only_namespace: str, authorizer: Authorizer, runs: Index[RunRow], experiments: Index[ExperimentRow]
    ) -> None:
        """`only_namespace` is the namespace of single-user mode; empty in multi-user mode."""
        self.only_namespace = only_namespace
        self._authorizer = authorizer
        self._runs = runs
        self._experiments = experiments

    async def require(
        self,
        call: Call,
        verb: str,
        namespace: str,
        name: str = "",
        *,
        resource: str = "pipelineruns",
        subresource: str = "",
    ) -> None:
        """Return if the caller has the right. Raises ServiceError (PERMISSION_DENIED, UNAVAILABLE)."""
        access = Access(verb, namespace, resource=resource, subresource=subresource, name=name)
        await self._authorizer.require(call.caller, access)

    def namespace_named(self, name: str) -> str:
        """Check a namespace that a client names. Raises ServiceError for no valid name, and in single-user mode for another one."""
        if not is_namespace_name(name):
            raise invalid_argument(
                f"namespace {name[:MAX_SHOWN]!r}: expected up to 63 lower-case letters, digits and '-'"
            )
        if self.only_namespace and name != self.only_namespace:
            raise invalid_argument(
                f"namespace {name!r}: expected {self.only_namespace!r}, the only one that this service serves"
            )
        return name

    def names_nothing(self, key: ResourceKey) -> bool:
        """Whether the key of a list request is empty. In single-user mode, KFP's client sends an empty namespace."""
        unknown = key.type == ResourceType.UNKNOWN_RESOURCE_TYPE
        nameless = key.type == ResourceType.NAMESPACE and bool(self.only_namespace)
        return not key.id and (unknown or nameless)

    async def run(self, id: str, call: Call, verb: str, subresource: str = "") -> RunRow:
        """Find a run for a caller with this right on it. Raises ServiceError as `_find` does."""

        def right(key: Key) -> Access:
            return Access(verb, key.namespace, subresource=subresource, name=key.name)

        return await self._find(self._runs, ("Run", PIPELINE_RUNS.plural), id, call, right)

    async def experiment(self, id: str, call: Call, verb: str) -> ExperimentRow:
        """Find an experiment for a caller with this right on it. Raises ServiceError as `_find` does."""

        def right(key: Key) -> Access:
            return Access(verb, key.namespace, resource=PIPELINE_EXPERIMENTS.plural, name=key.name)

        return await self._find(self._experiments, ("Experiment", PIPELINE_EXPERIMENTS.plural), id, call, right)

    async def experiment_of_runs(self, id: str, call: Call, verb: str) -> ExperimentRow:
        """Find an experiment for a caller with this right on the runs of its namespace. Raises ServiceError as `_find` does."""

        def right(key: Key) -> Access:
            return Access(verb, key.namespace)

        return await self._find(self._experiments, ("Experiment", PIPELINE_EXPERIMENTS.plural), id, call, right)

    async def _find(
        self, index: Index[R], kind: tuple[str, str], id: str, call: Call, right: Callable[[Key], Access]
    ) -> R:
        """Find an object by its id, for a caller with this right. `kind` is its name in messages, and its plural.

        For a caller who may not even get the object, it does not exist: the reply is that to an unknown id, after the same
        time. Raises ServiceError (NOT_FOUND, UNAVAILABLE; PERMISSION_DENIED only to a caller who may get the object).
        """
        name, plural = kind
        loop = asyncio.get_running_loop()
        until = loop.time() + WAIT_SECONDS
        row = await index.wait_for(id, WAIT_SECONDS)
        if row is not None:
            try:
                await self._authorizer.require(call.caller, right(row.key))
            except ServiceError as error:
                if error.code != Code.PERMISSION_DENIED or await self._may_get(call, row.key, plural, right(row.key)):
                    raise
            else:
                return row
            await asyncio.sleep(until - loop.time())
        if not index.synced:
            raise unavailable(f"{plural} are still being listed; try again in a moment")
        raise not_found(name, id[:MAX_SHOWN])

    async def _may_get(self, call: Call, key: Key, plural: str, refused: Access) -> bool:
        wanted = Access("get", key.namespace, resource=plural, name=key.name)
        if wanted == refused:
            return False
        try:
            await self._authorizer.require(call.caller, wanted)
        except ServiceError as error:
            if error.code != Code.PERMISSION_DENIED:
                raise
            return False
        return True

    def namespace_of_new_experiment(self, references: list[ResourceReference]) -> str:
        """The namespace of a new experiment (KFP 1.8.22). Raises ServiceError (INVALID_ARGUMENT)."""
        if self.only_namespace:
            if references and self._owners(references) != [self.only_namespace]:
                raise invalid_argument(
                    "In single-user mode, CreateExperimentRequest shouldn't contain resource references."
                )
            return self.only_namespace
        owners = self._owners(references)
        if len(owners) != 1 or len(references) != 1 or not owners[0]:
            raise invalid_argument(
                "Invalid resource references for experiment. Expect one namespace type with owner relationship."
            )
        return self.namespace_named(owners[0])

    def _owners(self, references: list[ResourceReference]) -> list[str]:
        return [one.key.id for one in references if one.key.type == ResourceType.NAMESPACE]
