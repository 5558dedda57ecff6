"""No text of the project uses the phrases that CONTRIBUTING.md warns of.

They are usually signs of a sentence that names no thing. Checked are names, comments, docstrings and messages of Python code,
and the whole text of pages, charts, CRDs and other files that people read.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
ROOTS = ("operator", "deploy", "charts", "bench", "tests", "docs", "crds")
SUFFIXES = {".py", ".md", ".yaml", ".yml", ".tpl", ".txt", ".lua", ".go", ".sh", ".toml", ".in"}
SKIPPED = ("_pb2.py", "tests/unit/docs/test_language.py")

QUANTITY = r"(?:an?|one|two|three|half|some|none|most|all|each|both|the\s+(?:first|last|second)|\d[\d,.]*)"
PHRASES = (
    r"told(?!\s+apart)",
    r"tells?\s+of",
    r"anew",
    r"whose\s+(?:an?|the|it|he|she|they|this|that|these|those|is|are)",
    r"(?-i:Whose)",
    r"whose$",  # a name
    rf"(?<!each )(?<!one )(?<!two )(?<!both )(?<!first )(?<!last )(?<!half )of\s+which(?!\s+{QUANTITY}\b)",
    r"(?:is|are)\s+that\s+of",
    r"(?:is|are|was|were|be|been|being)\s+taken\s+for",
    r"lets?\s+go\s+of",
    r"makes?\s+good",
    r"who\s+asks",
    r"whoever",
    r"in\s+the\s+way\s+that",
    r"what\s+(?:came|comes|became|becomes|will\s+become)\s+of",
    r"what\s+is\s+there",
    r"at\s+hand",
    r"robbed",
    r"(?:is|are|was|were|be)\s+over(?!\s+(?:an?|the|gRPC|HTTP|REST|TLS|\d\S*)\b)",
)
SIGN = re.compile(rf"\b(?:{'|'.join(PHRASES)})\b", re.IGNORECASE)


def signs_in(path: Path) -> list[str]:
    """Each phrase that was found in a file, with the words around it."""
    text = path.read_text(encoding="utf-8")
    parts = python_texts(text) if path.suffix == ".py" else [without_marks(text)]
    return [context(part, found) for part in parts for found in SIGN.finditer(part)]


def python_texts(source: str) -> Iterator[str]:
    """Comments (consecutive ones joined), strings, and names as words."""
    comments: list[str] = []
    names: set[str] = set()
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] != last + 1 and comments:
                yield " ".join(comments)
                comments = []
            comments.append(token.string.lstrip("# "))
            last = token.start[0]
        elif token.type == tokenize.NAME:
            names.add(token.string)
    yield " ".join(comments)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
    for name in sorted(names):
        yield name.replace("_", " ").strip()


def without_marks(text: str) -> str:
    """The text without the marks that begin comments."""
    return re.sub(r"^\s*(?:#+|//|--)\s?", "", text, flags=re.MULTILINE)


def context(text: str, found: re.Match[str]) -> str:
    """The phrase with up to 40 characters on either side, on one line."""
    return " ".join(text[max(0, found.start() - 40) : found.end() + 40].split())


def files() -> list[str]:
    """What people read, by path in the repository."""
    inside = (path for root in ROOTS for path in (REPOSITORY / root).rglob("*"))
    found = [path for path in (*REPOSITORY.iterdir(), *inside) if path.is_file() and not path.is_symlink()]
    names = [
        path.relative_to(REPOSITORY).as_posix()
        for path in found
        if path.suffix in SUFFIXES or path.name in ("Makefile", "Dockerfile")
    ]
    return sorted(name for name in names if not name.endswith(SKIPPED) and ".egg-info/" not in name)


def test_no_text_has_a_sign_phrase():
    found = {name: signs for name in files() if (signs := signs_in(REPOSITORY / name))}
    assert not found, "\n".join(f"{name}: …{sign}…" for name, signs in found.items() for sign in signs)


def test_all_kinds_of_files_are_read():
    names = files()
    for name in ("README.md", "operator/runwright/cli.py", "Makefile", "tests/unit/docs/test_pages.py"):
        assert name in names
    assert any(name.startswith("crds/") for name in names)
    assert any(name.startswith("charts/") and name.endswith(".tpl") for name in names)


@pytest.mark.parametrize(
    "text",
    [
        "The run was told to end.",
        "It begins\n    anew.",
        "Whose a Workflow is",
        "says whose it is",
        "a node of which the run does not know",
        "It is taken for a finished one.",
        "`keepWorkflow` is over; its Workflow has ended",
    ],
)
def test_a_sign_phrase_is_found(text: str):
    assert SIGN.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "a run whose Workflow has ended",
        "steps, each of which can be undone",
        "four writes, of which one is the Workflow",
        "a hundred nodes, the first of which failed",
        "The same calls are over gRPC too.",
        "items told apart by name",
        "overhand, retold",
    ],
)
def test_a_plain_use_is_not_found(text: str):
    assert not SIGN.search(text)


def test_each_text_of_a_python_file_is_read(tmp_path: Path):
    source = '''"""The run is told."""
def begin_anew():  # a comment that says what
    # is there
    whose = self._told
    return f"at hand: {whose}", "who " "asks"
'''
    path = tmp_path / "module.py"
    path.write_text(source)
    assert len(signs_in(path)) == 7


def test_comments_of_other_files_are_read_across_lines(tmp_path: Path):
    path = tmp_path / "values.yaml"
    path.write_text("# The time\n# is\n# over\nkey: value\n")
    assert signs_in(path) == ["The time is over key: value"]
