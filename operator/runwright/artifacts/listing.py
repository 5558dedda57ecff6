"""Parses the lists of objects that S3 and Azure Blob Storage return."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

MAX_DEPTH = 16
"""Levels of elements in a list."""

MAX_PAGE_OBJECTS = 10_000
"""Objects on a page of a list: stores return 1,000 (S3) or 5,000 (Azure)."""


class ListingError(ValueError):
    """The reply is no list of objects."""


@dataclass(slots=True)
class ObjectPage:
    """A page of a list of objects."""

    objects: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """Key and size."""
    next_page: str = ""
    """Marker of the next page; empty at the end."""


@dataclass(frozen=True, slots=True)
class ListingFormat:
    """Names of elements."""

    root: str
    item: str
    key: str
    size: str
    next_page: str


S3_LISTING = ListingFormat("ListBucketResult", "Contents", "Key", "Size", "NextContinuationToken")
AZURE_LISTING = ListingFormat("EnumerationResults", "Blob", "Name", "Content-Length", "NextMarker")


def parse_listing(data: bytes, names: ListingFormat) -> ObjectPage:
    """Parses a page of a list. Raises ListingError, also for declarations of entities, which can expand."""
    found = ObjectPage()
    path: list[str] = []
    text: list[str] = []
    key, size = "", -1

    def start(tag: str, _: dict[str, str]) -> None:
        nonlocal key, size
        path.append(tag)
        text.clear()
        if path[0] != names.root or len(path) > MAX_DEPTH:
            raise ListingError("expected a list of objects")
        if tag == names.item:
            key, size = "", -1

    def end(tag: str) -> None:
        nonlocal key, size
        said = "".join(text)
        text.clear()
        if tag == names.key and path[-2:-1] == [names.item]:
            key = said
        elif tag == names.size and names.item in path:
            size = int(said) if said.isascii() and said.isdigit() and len(said) < 20 else -1
        elif tag == names.next_page and len(path) == 2:
            found.next_page = said
        elif tag == names.item:
            if not key or size < 0 or len(found.objects) >= MAX_PAGE_OBJECTS:
                raise ListingError("expected a key and a size of each object")
            found.objects.append((key, size))
        path.pop()

    def refuse(*_: object) -> None:
        raise ListingError("expected a list without a document type")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text.append
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError:
        raise ListingError("expected XML") from None
    return found
