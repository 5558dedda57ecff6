"""A text's size in etcd is never underestimated, and a long text is cut."""

import json

from hypothesis import given
from hypothesis import strategies as st

from runwright.core.status.sizes import json_bytes, shorten


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
