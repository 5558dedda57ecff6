"""What the pages say of the checkout is so: links lead somewhere, every page and every module can be found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)\s]*)\)")
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[str]:
    """Where the page's relative links point to, outside of code blocks."""
    return LINK.findall(FENCE.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the page's headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path):
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("folder", ["docs", "docs/decisions"])
def test_the_index_lists_every_page(folder: str):
    index = REPOSITORY / folder / "README.md"
    listed = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    assert {page for page in index.parent.glob("*.md") if page != index} <= listed


def test_links_in_code_are_none(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# A page, of sorts\n[one](two.md)\n```\n[not](a-link.md)\n```\n[out](https://example.org)\n")
    assert links(page) == ["two.md"]
    assert anchors(page) == {"a-page-of-sorts"}


REASON = re.compile(
    r'\b(?:Refusal|Refused|self\._found)\(\s*[^()"]*(?:\([^()]*\)[^()"]*)*"([A-Z]\w+)"|^[A-Z_]+ = "([A-Z]\w+)"$',
    re.MULTILINE,
)
CONDITIONS = {
    "Succeeded",
    "Stalled",
    "Archived",
    "MetricsCollected",
    "Cleared",
    "Unarchived",
    "Terminated",
    "NotStarted",
    "Workflow",
}


def test_every_reason_of_a_stalled_run_is_explained():
    """On the page for those whose run does not run, or on that of what a run can be made from."""
    core = REPOSITORY / "operator" / "runwright" / "core"
    found: set[str] = set()
    for path in core.rglob("*.py"):
        if path.stem in (
            "refusals",
            "build",
            "parameters",
            "manifest",
            "ownership",
            "reconcile",
            "reset",
            "attempt",
        ):
            found |= {one or other for one, other in REASON.findall(path.read_text())}
    found -= CONDITIONS
    assert len(found) > 15
    pages = "".join((REPOSITORY / "docs" / f"{name}.md").read_text() for name in ("troubleshooting", "inputs", "retry"))
    assert {one for one in found if f"`{one}`" not in pages} == set()
