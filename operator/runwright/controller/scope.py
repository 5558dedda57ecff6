"""The namespaces and the shard that an operator serves, as selections of its lists."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from runwright.api.resources import PIPELINE_RUNS
from runwright.core.shard import EVERYTHING, Shard
from runwright.kube.client import Client, Form, get_if_served, list_objects
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, labels_of
from runwright.kube.resource import Resource, Selection


@dataclass(frozen=True, slots=True)
class Scope:
    """The runs that an operator serves."""

    namespaces: tuple[str, ...] = ()
    """Empty for all namespaces."""
    shard: Shard = EVERYTHING

    def runs(self, labels: str = "", fields: str = "", namespace: str = "") -> list[Selection]:
        """Select its runs with these labels and fields; in one namespace, where that is given."""
        return self._selections(self.shard.run_selector(labels), fields, namespace)

    def workflows(self) -> list[Selection]:
        """Select the Workflows of its runs."""
        return self._selections(self.shard.workflow_selector)

    async def get_run(self, client: Client, key: Key) -> Json | None:
        """Get a PipelineRun; None where it does not exist or belongs to another shard."""
        run = await get_if_served(client, PIPELINE_RUNS, key)
        return run if run is not None and self.shard.includes(labels_of(run)) else None

    def _selections(self, labels: str, fields: str = "", namespace: str = "") -> list[Selection]:
        namespaces = (namespace,) if namespace else self.namespaces or ("",)
        return [Selection(name, labels, fields) for name in namespaces]


async def list_each_metadata(
    client: Client, resource: Resource, selections: Iterable[Selection]
) -> AsyncIterator[Json]:
    """List the metadata of the selected objects, a page at a time; none where the kind is not served."""
    for selection in selections:
        try:
            async for item in list_objects(client, resource, selection, form=Form.METADATA):
                yield item
        except ApiError as error:
            if error.code != 404:
                raise
