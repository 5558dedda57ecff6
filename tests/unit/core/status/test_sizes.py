"""A text's size in etcd is never underestimated, and a long text is cut."""

import json
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from runwright.core.status.sizes import is_large, json_bytes, shorten

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=15,
)


def as_go_writes(text: str) -> bytes:
    written = json.dumps(text, ensure_ascii=False)[1:-1]
    for character in "<>&\u2028\u2029":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return written.encode()


@given(st.text())
def test_size_is_never_less_than_what_the_api_server_writes(text: str) -> None:
    assert json_bytes(text) >= len(as_go_writes(text))


@given(st.text(alphabet=st.sampled_from('ab"é<…😀\n'), max_size=40), st.integers(3, 30))
def test_a_cut_text_fits_and_ends_with_an_ellipsis(text: str, limit: int) -> None:
    cut = shorten(text, limit)
    assert json_bytes(cut) <= limit
    assert cut == text or (cut.endswith("…") and text.startswith(cut[:-1]))


def test_short_text_stays_and_long_text_is_cut_by_its_bytes() -> None:
    assert shorten("x" * 10, 10) == "x" * 10
    assert shorten("x" * 11, 10) == "x" * 7 + "…"
    assert shorten("é" * 6, 10) == "é" * 3 + "…"
    assert shorten('"' * 10, 10) == '"…'


@given(JSON_VALUES, st.integers(0, 300))
def test_a_value_is_large_from_its_number_of_characters_on(value: object, limit: int) -> None:
    written = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    if written > limit:
        assert is_large(value, limit // 8)
    if is_large(value, limit):
        assert 8 * written + 8 > limit


def test_only_the_beginning_of_a_large_value_is_looked_at() -> None:
    class Counted(list[object]):
        looks = 0

        def __iter__(self) -> Iterator[object]:
            Counted.looks += 1
            return super().__iter__()

    assert is_large([Counted([0] * 10_000) for _ in range(5)], 1000)
    assert Counted.looks == 0
