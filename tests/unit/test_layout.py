"""Every module of the package has its tests at the mirrored path: core/workflow/build.py in core/workflow/test_build.py."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parents[1] / "operator" / "runwright"

EXEMPT = {
    "__main__.py": "two lines that call cli.main; tests/e2e starts it",
}
"""Modules without a test of their own, and why."""


def modules() -> list[str]:
    """The modules of the package by path, without package files and generated code."""
    return sorted(
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py" and not path.stem.endswith("_pb2")
    )


def mirrored(module: str) -> Path:
    """Path of a module's tests."""
    path = Path(module)
    return TESTS / path.parent / f"test_{path.name}"


def test_every_module_has_its_tests_at_the_mirrored_path() -> None:
    missing = [module for module in modules() if not mirrored(module).exists() and module not in EXEMPT]
    assert not missing, f"write tests for: {missing}"


def test_exempt_modules_exist_and_have_no_tests() -> None:
    assert set(EXEMPT) <= set(modules())
    assert not [module for module in EXEMPT if mirrored(module).exists()], "take these from the list"
