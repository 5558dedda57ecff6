"""Orders, page sizes and page tokens, which nobody can forge."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.service.errors import Code, ServiceError
from runwright.service.filters import MAX_FILTER, parse_filter
from runwright.service.order import Order
from runwright.service.paging import MAX_ID, MAX_LINE, MAX_SORT, MAX_TOKEN, Pages, check_id, effective_page_size
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


texts = st.text(st.characters(codec="utf-8"))
"""Texts that protobuf takes: every plane and control character, no lone surrogate."""

long_texts = st.tuples(texts.filter(bool), st.integers(1, 3000)).map(lambda one: one[0] * one[1])


@given(
    values=st.lists(long_texts, min_size=1, max_size=3),
    escaped=st.booleans(),
    metric=texts,
    way=st.sampled_from(["", " asc", " desc"]),
    id=texts.map(lambda id: f"team/{id}"[:MAX_ID]),
    name=long_texts,
    number=st.floats(allow_nan=False),
)
def test_every_token_is_accepted_again(
    values: list[str], escaped: bool, metric: str, way: str, id: str, name: str, number: float
):
    """Round trip, for every query that is accepted: also with the query beside the token, in one request line."""
    predicate = {"op": "IN", "key": "name", "string_values": {"values": values}}
    filter = json.dumps({"predicates": [predicate]}, ensure_ascii=escaped)
    last = replace(row(), name=name)
    assert last.metric_values is not None
    last.metric_values[0] = number
    for sort_by in (f"name{way}", f"metric:{metric}{way}", "metric:Acc" + way):
        scope = ("EXPERIMENT", id)
        try:
            parse_filter(filter, {"name": str})
            listing = PAGES.read(scope, "", 5, sort_by, filter)
        except ServiceError as error:
            assert error.code == Code.INVALID_ARGUMENT
            continue
        token = PAGES.token(listing, last)
        assert len(token) <= MAX_TOKEN
        query = {"page_token": token, "sort_by": sort_by, "filter": filter, "resource_reference_key.id": id}
        assert len(urlencode(query, quote_via=quote)) < MAX_LINE - 200
        for sort, repeated in (("", ""), (sort_by, filter)):
            again = PAGES.read(scope, token, 5, sort, repeated)
            assert (again.order, again.filter) == (listing.order, filter)
            assert again.after == listing.order.position(last)


def worst_query() -> tuple[str, str]:
    """The longest filter and order that are accepted, of characters that JSON escapes."""
    head, tail = '{"predicates": [{"op": "EQUALS", "key": "name", "string_value": "', '"}]}'
    filter = head + '\\"' * ((MAX_FILTER - len(head) - len(tail)) // 2) + tail
    return filter, "metric:" + "\x01" * (MAX_SORT - len("metric: desc")) + " desc"


def test_the_token_of_the_longest_query_is_accepted():
    filter, sort_by = worst_query()
    parse_filter(filter, {"name": str})
    token = PAGES.token(PAGES.read(("EXPERIMENT", "\x01" * (MAX_ID * 2)), "", 5, sort_by, filter), row())
    assert MAX_FILTER < len(token) <= MAX_TOKEN
    assert len(quote(token)) + 3 * (MAX_FILTER + MAX_SORT + 4 * MAX_ID) < MAX_LINE


def test_emoji_in_a_filter_make_a_token_that_is_accepted():
    """Issue 17: 4,096 of them did not. In UTF-8 these are 8,000 bytes."""
    filter = json.dumps(
        {"predicates": [{"op": "NOT_EQUALS", "key": "name", "string_value": "😀" * 1990}]}, ensure_ascii=False
    )
    assert parse_filter(filter, {"name": str}) is not None
    token = PAGES.token(PAGES.read(ALL, "", 5, "name", filter), row())
    assert PAGES.read(ALL, token, 5, "", "").filter == filter


def test_a_row_is_sorted_by_the_start_of_a_long_text():
    last = replace(row(), name="😀" * 10_000)
    token = PAGES.token(PAGES.read(ALL, "", 5, "name", ""), last)
    assert len(token) < 2_000
    assert PAGES.read(ALL, token, 5, "", "").after == Order("name").position(last) == ("😀" * 256, last.id)


def test_a_long_order_or_id_is_refused():
    with pytest.raises(ServiceError, match="sort_by: expected 256 bytes at most"):
        PAGES.order("metric:" + "x" * 1_000_000)
    with pytest.raises(ServiceError, match=r"key\.id: expected 253 characters at most, found 1000000"):
        check_id("key.id", "x" * 1_000_000)
    assert check_id("key.id", "x" * 253) == "x" * 253


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
