"""The namespace of a call, and the caller's rights in it.

KFP has two modes (`multi_user` of its health check). In single-user mode everything is in one namespace, and clients name
none. In multi-user mode each experiment has a namespace, and its runs are in the same one.
"""

from __future__ import annotations

from runwright.service.calls import Access, Authorizer, Call
from runwright.service.contract.resource_reference_pb2 import ResourceKey, ResourceReference, ResourceType
from runwright.service.errors import invalid_argument, not_found, unavailable
from runwright.service.experiment_rows import ExperimentRow
from runwright.service.index import Index

WAIT_SECONDS = 0.5
"""How long to wait for an unknown id: another replica may have just created the object."""


class Tenancy:
    """The namespaces, and the rights in them."""

    def __init__(self, only_namespace: str, authorizer: Authorizer, experiments: Index[ExperimentRow]) -> None:
        """`only_namespace` is the namespace of single-user mode; empty in multi-user mode."""
        self.only_namespace = only_namespace
        self._authorizer = authorizer
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
        """Check a namespace that a client names. Raises ServiceError in single-user mode for another namespace."""
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

    async def experiment(self, id: str) -> ExperimentRow:
        """Find an experiment by its id. Raises ServiceError (NOT_FOUND, UNAVAILABLE)."""
        row = await self._experiments.wait_for(id, WAIT_SECONDS)
        if row is not None:
            return row
        if not self._experiments.synced:
            raise unavailable("experiments are still being listed; try again in a moment")
        raise not_found("Experiment", id)

    async def namespace_of_experiment(self, id: str) -> str:
        """The namespace of an experiment's runs. Raises ServiceError (NOT_FOUND in multi-user mode)."""
        return self.only_namespace or (await self.experiment(id)).key.namespace

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
        return owners[0]

    def _owners(self, references: list[ResourceReference]) -> list[str]:
        return [one.key.id for one in references if one.key.type == ResourceType.NAMESPACE]
