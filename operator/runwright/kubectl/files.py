"""Files that commands write for a user: replaced when they are complete, never before."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

STANDARD_OUTPUT = Path("-")


@contextmanager
def replace_file(named: Path) -> Generator[BinaryIO]:
    """Open a temporary file that replaces the named one at the end; after an exception the named file is unchanged.

    The file keeps its mode; a symbolic link stays a link. Devices and pipes are written directly.
    """
    path = named.resolve()
    if path.exists() and not path.is_file():
        with path.open("wb") as device:
            yield device
        return
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:200]}.")
    try:
        with open(handle, "wb") as file:
            yield file
        os.chmod(beside, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~umask())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


@contextmanager
def open_output(named: Path) -> Generator[BinaryIO]:
    """Open what a command writes to: a file by `replace_file`, or the standard output for `-`."""
    if named == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with replace_file(named) as file:
        yield file


def check_folder(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Validate an option: the folder of a new file must exist. A click callback."""
    if value is not None and value != STANDARD_OUTPUT and not value.parent.is_dir():
        raise click.BadParameter(f"folder {str(value.parent)!r} does not exist", context, parameter)
    return value


def umask() -> int:
    """The process's file mode creation mask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
