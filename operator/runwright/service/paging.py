"""Pages of lists: order, page size, and page tokens.

A page token holds the position of the page's last row and the query, signed with an HMAC: it is opaque, and cannot be forged.
The next page begins after that position, whatever was created or deleted in between.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, cast

from runwright.kube.objects import as_mapping, as_text
from runwright.service.errors import invalid_argument
from runwright.service.order import Order, Position, Row, Scope, Value

DEFAULT_PAGE = 20
MAX_PAGE = 200
"""Largest page, in rows (KFP 1.8.22). A larger page size is reduced to it."""

DEFAULT_FIELD = "created_at"

MAX_SORT = 256
"""Bytes of `sort_by` in UTF-8: KFP's metrics have names of 64 characters at most."""

MAX_ID = 253
"""Characters of a reference's id, as in the CRD."""

MAX_TOKEN = 32 * 1024
"""Characters of a page token: that of the longest filter, order, scope and position is shorter."""

MAX_LINE = 64 * 1024
"""Bytes of a request line: a token, and a filter, an order and an id with three characters for each of their bytes."""

SIGNATURE = 16
"""Bytes of a token's HMAC-SHA-256."""

NOT_THIS_QUERY = (
    "page token does not match the supplied sort by and/or filtering criteria. Either specify the same criteria or leave "
    "the latter empty if page token is specified"
)


@dataclass(frozen=True, slots=True)
class Listing:
    """The query of one page."""

    scope: Scope
    order: Order
    filter: str
    size: int
    after: Position | None = None


class Pages:
    """Parses list requests of one kind, and makes page tokens."""

    def __init__(self, key: bytes, kind: str, fields: Collection[str], prefixes: tuple[str, ...] = ()) -> None:
        """`key` signs tokens; replicas share it. Lists are sorted by one of `fields`, or by a field with one of `prefixes`."""
        self._key, self._kind = key, kind
        self._fields, self._prefixes = fields, prefixes

    def read(self, scope: Scope, page_token: str, page_size: int, sort_by: str, filter: str) -> Listing:
        """Parse a list request. Raises ServiceError (INVALID_ARGUMENT)."""
        size = effective_page_size(page_size)
        if not page_token:
            return Listing(scope, self.order(sort_by), filter, size)
        held = self._open(page_token)
        order, wanted = self.order(as_text(held.get("s"))), as_text(held.get("f"))
        if held.get("q") != [*scope] or (sort_by and self.order(sort_by) != order) or (filter and filter != wanted):
            raise invalid_argument(NOT_THIS_QUERY)
        value = cast(Value, held.get("v"))
        return Listing(scope, order, wanted, size, order.position_of(value, as_text(held.get("i"))))

    def token(self, listing: Listing, last: Row) -> str:
        """Make the token of the next page; `last` is the last row of this one."""
        order = listing.order
        held = {
            "s": f"{order.field} {'desc' if order.descending else 'asc'}",
            "f": listing.filter,
            "q": [*listing.scope],
            "v": order.sort_value(last),
            "i": last.id,
        }
        payload = json.dumps(held, separators=(",", ":"), ensure_ascii=False).encode()
        return base64.urlsafe_b64encode(self._sign(payload) + payload).decode().rstrip("=")

    def order(self, sort_by: str) -> Order:
        """Parse `FIELD`, `FIELD asc` or `FIELD desc`. Raises ServiceError."""
        check_size("sort_by", sort_by, MAX_SORT, "name a field, and asc or desc")
        words = sort_by.split()
        if not words:
            return Order(DEFAULT_FIELD)
        way = words[1].lower() if len(words) == 2 else "asc"
        if len(words) > 2 or way not in ("asc", "desc"):
            raise invalid_argument(
                f'Received invalid sort by format {sort_by[:100]!r}. Supported formats: "field", "field asc", "field desc"'
            )
        name = words[0]
        if not any(name.startswith(prefix) and name != prefix for prefix in self._prefixes):
            name = name.lower()
            if name not in self._fields:
                raise invalid_argument(f"Invalid sorting field: {words[0][:100]!r} on listable type {self._kind}")
        return Order(name, way == "desc")

    def _sign(self, payload: bytes) -> bytes:
        return hmac.new(self._key, self._kind.encode() + b"\0" + payload, hashlib.sha256).digest()[:SIGNATURE]

    def _open(self, token: str) -> dict[str, Any]:
        try:
            if len(token) > MAX_TOKEN:
                raise ValueError
            held = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise invalid_argument("Invalid package token.") from None
        signature, payload = held[:SIGNATURE], held[SIGNATURE:]
        if not hmac.compare_digest(signature, self._sign(payload)):
            raise invalid_argument("Invalid package token.")
        return dict(as_mapping(json.loads(payload)))


def check_size(field: str, value: str, limit: int, advice: str) -> None:
    """Raise ServiceError (INVALID_ARGUMENT) for a value of more than `limit` bytes in UTF-8; `advice` says what to do."""
    # Each character has a byte at least: a value of megabytes is not encoded.
    if len(value) > limit or len(value.encode("utf-8", "replace")) > limit:
        raise invalid_argument(f"{field}: expected {limit} bytes at most; {advice}")


def check_id(field: str, id: str) -> str:
    """Return the id. Raises ServiceError (INVALID_ARGUMENT) for one that no object can have."""
    if len(id) > MAX_ID:
        raise invalid_argument(
            f"{field}: expected {MAX_ID} characters at most, found {len(id)}; copy the id from a reply"
        )
    return id


def effective_page_size(asked: int) -> int:
    """Rows of a page: the default for 0, at most MAX_PAGE. Raises ServiceError for a negative number."""
    if asked < 0:
        raise invalid_argument(f"The page size should be greater than 0. Got {asked}.")
    return min(asked or DEFAULT_PAGE, MAX_PAGE)
