"""Orders, page sizes and page tokens, which nobody can forge."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.service.errors import Code, ServiceError
from runwright.service.index import Order
from runwright.service.paging import Pages, effective_page_size
from runwright.service.rows import RowFactory, RunRow
from tests.unit.service.bodies import run_body

PAGES = Pages(b"k" * 32, "Run", ["name", "created_at", "id"], ("metric:",))
ALL = ("", "")


def row() -> RunRow:
    return RowFactory().row(run_body(status={"metrics": [{"name": "Acc", "nodeID": "n", "value": 0.1}]}))


@pytest.mark.parametrize(
    ("words", "order"),
    [
        ("", Order("created_at")),
        ("name", Order("name")),
        ("NAME DESC", Order("name", True)),
        ("id  asc", Order("id")),
        ("metric:Acc desc", Order("metric:Acc", True)),
    ],
)
def test_an_order_is_a_field_and_a_direction(words: str, order: Order):
    assert PAGES.order(words) == order


@pytest.mark.parametrize("words", ["name up", "name asc now", "nothing", "metric:", "metric: desc"])
def test_an_invalid_order_is_refused(words: str):
    with pytest.raises(ServiceError) as caught:
        PAGES.order(words)
    assert caught.value.code == Code.INVALID_ARGUMENT


@pytest.mark.parametrize(("asked", "given"), [(0, 20), (1, 1), (200, 200), (201, 200), (10**9, 200)])
def test_a_page_size_has_a_default_and_a_limit(asked: int, given: int):
    assert effective_page_size(asked) == given


def test_a_negative_page_size_is_refused():
    with pytest.raises(ServiceError, match="Got -1"):
        effective_page_size(-1)


@pytest.mark.parametrize("sort_by", ["", "name desc", "metric:Acc", "metric:none desc"])
def test_a_token_holds_its_query_and_position(sort_by: str):
    listing = PAGES.read(ALL, "", 5, sort_by, '{"predicates": []}')
    token = PAGES.token(listing, row())
    for sort, filter in (("", ""), (sort_by, '{"predicates": []}')):
        again = PAGES.read(ALL, token, 7, sort, filter)
        assert (again.order, again.filter, again.size) == (listing.order, listing.filter, 7)
        assert again.after == listing.order.position(row())


@pytest.mark.parametrize(
    ("scope", "sort_by", "filter"),
    [(("NAMESPACE", "x"), "", ""), (ALL, "name", ""), (ALL, "name asc", ""), (ALL, "", "{}")],
)
def test_a_token_of_another_query_is_refused(scope: tuple[str, str], sort_by: str, filter: str):
    token = PAGES.token(PAGES.read(ALL, "", 5, "name desc", ""), row())
    with pytest.raises(ServiceError, match="does not match"):
        PAGES.read(scope, token, 5, sort_by, filter)


def test_a_token_of_another_key_or_kind_is_refused():
    token = PAGES.token(PAGES.read(ALL, "", 5, "", ""), row())
    for other in (Pages(b"x" * 32, "Run", ["created_at"]), Pages(b"k" * 32, "Experiment", ["created_at"])):
        with pytest.raises(ServiceError, match="Invalid package token"):
            other.read(ALL, token, 5, "", "")


@given(st.data())
def test_a_token_that_was_changed_is_refused(data: st.DataObject):
    token = PAGES.token(PAGES.read(ALL, "", 5, "", ""), row())
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ServiceError, match="Invalid package token"):
        PAGES.read(ALL, base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("="), 5, "", "")


@given(st.text(max_size=80))
def test_any_other_text_is_refused_as_a_token(token: str):
    if token:
        with pytest.raises(ServiceError):
            PAGES.read(ALL, token, 5, "", "")
