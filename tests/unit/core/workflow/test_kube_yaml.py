"""YAML and JSON are parsed as kubectl does, within bounds."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.core.workflow.kube_yaml import (
    MAX_DEPTH,
    MAX_VALUES,
    UnreadableTextError,
    check_depth,
    load_json,
    load_yaml,
)

# What sigs.k8s.io/yaml v1.6 makes of the same text.
AS_KUBERNETES_READS = [
    ("yes", True), ("No", False), ("on", True), ("y", True), ("~", None), ("", None), ("null", None),
    ("2001-12-14", "2001-12-14"), ("2001-12-14T21:59:43.10-05:00", "2001-12-14T21:59:43.10-05:00"),
    ("1:30", "1:30"), ("12:30:45", "12:30:45"),
    ("0123", 83), ("0o17", 15), ("0x1F", 31), ("-0b11", -3), ("1_000", 1000), ("08", 8), ("+1", 1),
    ("1e3", 1000), ("1.0", 1), ("1.5", 1.5), (".5", 0.5), (".3_14", 0.314), ("1.", 1), ("1e400", "1e400"),
    ("18446744073709551615", 18446744073709551615), ("1.2.3", "1.2.3"), ("0x", "0x"), ("1_", 1), ("-", None),
    ("'1'", "1"), ('"yes"', "yes"), ("!!str 1", "1"), ("!!float 1", 1.0), ("!!timestamp 2001-12-14", "2001-12-14"),
    ("<<", "<<"), ("|\n  a\n  b\n", "a\nb\n"), (">-\n  a\n  b\n", "a b"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), [case for case in AS_KUBERNETES_READS if case[0] != "-"])
def test_scalars_are_read_as_kubernetes_reads_them(text: str, value: object) -> None:
    (document,) = load_yaml(f"a: {text}\n")
    assert document == {"a": value}
    assert type(document["a"]) is type(value)


@pytest.mark.parametrize(("key", "name"), [("1", "1"), ("yes", "true"), ("1.5", "1.5"), ("'x'", "x")])
def test_keys_become_strings(key: str, name: str) -> None:
    assert load_yaml(f"{key}: 1\n") == [{name: 1}]


def test_merge_keys_fill_in_what_is_absent() -> None:
    text = "a: &a {p: 1, q: 2}\nb: &b {q: 3, r: 4}\nc:\n  <<: [*a, *b]\n  p: 9\n"
    assert load_yaml(text)[0]["c"] == {"p": 9, "q": 2, "r": 4}


def test_an_alias_is_a_copy() -> None:
    (document,) = load_yaml("a: &a {x: 1}\nb: *a\n")
    document["a"]["x"] = 2
    assert document["b"] == {"x": 1}


def test_empty_documents_are_left_out() -> None:
    assert load_yaml("---\n---\na: 1\n---\n# nothing\n...\n") == [{"a": 1}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1\nb: 2\n", "line 2, column"),
        ("\ta: 1\n", "line 1, column 1"),
        ("a: 1\nb: 2\na: 3\n", 'line 3, column 1: duplicate key "a"'),
        ("x:\n  a: 1\n  'a': 3\n", 'line 3, column 3: duplicate key "a"'),
        ("a: !!python/object/apply:os.system [ls]\n", "line 1, column 4: the tag"),
        ("a: !!binary aGk=\n", "the tag"),
        ("a: !!int x\n", "is not a int"),
        ("a: !!bool 1\n", "is not a bool"),
        ("a: !!null 1\n", "is not a null"),
        ("a: &a [*a]\n", "contains itself"),
        ("a: *b\n", "no anchor 'b'"),
        ("a: .inf\n", "is not a JSON number"),
        ("? [a]\n: 1\n", "key must be a string"),
        ("~: 1\n", "key must be a string"),
        ("x: {<<: 3}\n", "merges mappings only"),
        ("a: \x01\n", "control characters are not allowed"),
        ("[" * 900, "nest"),
    ],
)
def test_an_invalid_text_is_refused_with_line_and_column(text: str, said: str) -> None:
    with pytest.raises(UnreadableTextError) as raised:
        load_yaml(text)
    assert said in str(raised.value)


def test_block_nesting_is_bounded() -> None:
    with pytest.raises(UnreadableTextError, match="nests deeper than"):
        load_yaml("".join(" " * level + "a:\n" for level in range(MAX_DEPTH + 1)))


def test_aliases_cannot_grow_without_bound() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 12)]
    with pytest.raises(UnreadableTextError, match="aliases"):
        load_yaml("\n".join(lines))


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 1200])
def test_aliases_cannot_nest_without_bound(levels: int) -> None:
    lines = ["a0: &a0 [x]", *(f"a{level}: &a{level} [*a{level - 1}]" for level in range(1, levels))]
    with pytest.raises(UnreadableTextError, match="nests deeper than"):
        load_yaml("\n".join(lines))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 2}', 'duplicate key "a"'),
        ('{"a": NaN}', "not a JSON number"),
        ('{"a": 1e999}', "too large"),
        ("[" * 100_000 + "]" * 100_000, "nests deeper than"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "nests deeper than"),
    ],
)
def test_json_that_kubernetes_refuses_is_refused(text: str, said: str) -> None:
    with pytest.raises(UnreadableTextError, match=said):
        load_json(text)


def test_json_numbers_beyond_64_bits_become_floats() -> None:
    assert load_json('{"a": 18446744073709551615, "b": ' + "9" * 30 + "}") == {"a": 18446744073709551615, "b": 1e30}


def test_the_maximum_nesting_is_accepted() -> None:
    value: object = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    check_depth(value)
    with pytest.raises(UnreadableTextError):
        check_depth([[value]])


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_json_is_read_back(value: object) -> None:
    assert load_json(json.dumps(value)) == value


@given(st.text(alphabet=" \n-:?[]{}&*!|>'\"#%@`,ab01.<~\t"))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        documents = load_yaml(text)
    except UnreadableTextError as error:
        assert str(error)
    else:
        json.dumps(documents, allow_nan=False)


def test_many_tag_directives_are_refused() -> None:
    """libyaml compares each with all others in one call: 70,000 of them take 6 s."""
    few = "".join(f"%TAG !{number}! x\n" for number in range(16))
    assert load_yaml(few + "--- a") == ["a"]
    for line in ("%TAG !x! x\n", "\r%TAG !x! x\n", "\u2028%TAG !x! x\n"):
        with pytest.raises(UnreadableTextError, match="more than 16 %TAG lines"):
            load_yaml(few + line + "--- a")
    assert load_yaml("a: |\n" + "  %TAG !x! x\n" * 20) == [{"a": "%TAG !x! x\n" * 20}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[&a [&a 1, *a], *a]", [[[1, 1], 1]]),
        ("[&a [1], &a 2, *a]", [[[1], 2, 2]]),
    ],
)
def test_alias_is_of_the_last_anchor_before_it(text: str, expected: object) -> None:
    assert load_yaml(text) == expected


def test_number_of_values_is_bounded() -> None:
    for text in ("[" + "1," * MAX_VALUES + "1]", '{"a":[' + '"b",' * MAX_VALUES + "1]}"):
        with pytest.raises(UnreadableTextError, match="more than 200000 values"):
            load_json(text)
    check_depth([1] * MAX_VALUES)
