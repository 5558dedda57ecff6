"""The Kubernetes API: eight verbs for every kind of object.

`Client` is what the package asks for; `HttpClient` is the real one. Each request raises ApiError; a read of an object that
does not exist is None. Each verb makes one request, `list` one for each page.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key
from runwright.kube.resource import ALL, Resource, Selection

PAGE = 500
"""Objects in one page of a list (client-go's default)."""


class Form(StrEnum):
    """In which form the API server sends objects: the Accept header."""

    OBJECTS = "application/json"
    METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    """Only `metadata` of each object."""
    TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
    """The columns of the kind as kubectl prints them, and `metadata` of each object."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    items: Sequence[Json]
    """The objects; of a Table, its rows. Those of a large page are decoded each time that they are read."""
    version: str
    """Resource version of the whole list: a watch goes on from there."""
    body: Json
    """The page without its objects; a Table's columns are in it."""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event of a watch."""

    type: str
    """ADDED, MODIFIED, DELETED, BOOKMARK; OPENED, without an object, once the API server has accepted the watch."""
    body: Json


class ListWatch(Protocol):
    """The two verbs that an informer needs."""

    def pages(
        self, resource: Resource, selection: Selection = ALL, *, form: Form = Form.OBJECTS, limit: int = PAGE
    ) -> AsyncGenerator[Page]:
        """List objects page by page. Raises ApiError 404 (NotServed), or 410 (Expired) where reading took minutes."""
        ...

    def watch(
        self, resource: Resource, selection: Selection, since: str, *, form: Form = Form.OBJECTS
    ) -> AsyncGenerator[WatchEvent]:
        """Watch from a resource version on; the first event is OPENED. Ends when the API server ends the watch.

        Raises ApiError; 410 (Expired) where the version is too old.
        """
        ...


class Client(ListWatch, Protocol):
    """The verbs. Fields that a write sets are recorded under the client's field manager."""

    async def get(self, resource: Resource, key: Key) -> Json | None:
        """Get an object as etcd has it now (a quorum read); None where the API server answers that it does not exist.

        Raises ApiError 404 where the kind is not served.
        """
        ...

    async def create(self, resource: Resource, body: Json, *, dry_run: bool = False, strict: bool = False) -> Json:
        """Create an object; returns it as stored. Raises ApiError 409 (AlreadyExists).

        With `strict`, the API server refuses fields that the kind does not have.
        """
        ...

    async def replace(self, resource: Resource, body: Json) -> Json | None:
        """Write a whole object at the resourceVersion that it names; None where it does not exist. Raises Conflict."""
        ...

    async def patch(self, resource: Resource, key: Key, patch: Json, subresource: str = "") -> Json | None:
        """Merge a patch (RFC 7386); None where the object does not exist.

        A `metadata.uid` or `metadata.resourceVersion` in the patch is a precondition: ApiError 409 (Conflict).
        """
        ...

    async def delete(self, resource: Resource, key: Key, *, uid: str = "", version: str = "") -> bool:
        """Delete an object, and in the background what it owns; False where it does not exist.

        `uid` and `version` are preconditions: ApiError 409 (Conflict).
        """
        ...

    def logs(self, pod: Key, container: str, *, follow: bool = False, **query: Any) -> AsyncGenerator[bytes]:
        """Read the log of a container as it comes; with `follow`, until the container ends.

        `query` are parameters of the API, such as `tailLines` and `timestamps`.
        """
        ...


async def get_if_served(client: Client, resource: Resource, key: Key) -> Json | None:
    """Get an object; None also where the kind is not served. Raises ApiError as `get` does for everything else."""
    try:
        return await client.get(resource, key)
    except ApiError as error:
        if error.code == 404:
            return None
        raise


def list_objects(
    client: ListWatch, resource: Resource, selection: Selection = ALL, *, form: Form = Form.OBJECTS
) -> AsyncIterator[Json]:
    """List objects one by one, a page at a time. Raises ApiError as `pages` does."""
    return _items(client.pages(resource, selection, form=form))


async def _items(pages: AsyncGenerator[Page]) -> AsyncIterator[Json]:
    async for page in pages:
        for item in page.items:
            yield item


def deletion(uid: str = "", version: str = "") -> Mapping[str, Any]:
    """DeleteOptions with these preconditions; objects that the deleted one owns go after it."""
    preconditions = {"uid": uid, "resourceVersion": version}
    options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    if given := {name: value for name, value in preconditions.items() if value}:
        options["preconditions"] = given
    return options
