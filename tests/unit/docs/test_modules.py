from __future__ import annotations

from docs.modules import PACKAGE, PAGE, TABLE, modules, rendered, summary


def test_the_architecture_page_says_what_the_modules_say() -> None:
    page = PAGE.read_text()
    assert rendered(page) == page, "run `make generate`"


def test_the_architecture_page_has_every_room() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("[a-z]*.py"))} | {"."}
    assert {found[1] for found in TABLE.finditer(PAGE.read_text())} == rooms


def test_every_module_says_what_it_is_for() -> None:
    for room in [path.name for path in PACKAGE.iterdir() if path.is_dir()]:
        assert [path for path in modules(room) if not summary(path).endswith((".", "?", ":"))] == []
