from __future__ import annotations

import pytest

from runwright.kube.edit import edit_until_accepted
from runwright.kube.errors import ApiError

CONFLICT = ApiError(409, "Conflict", "the object has been modified")


class Edited:
    """An object that others write `conflicts` times between our read and our write."""

    def __init__(self, conflicts: int, error: ApiError = CONFLICT) -> None:
        self.version, self.conflicts, self.error = 0, conflicts, error

    async def read(self) -> int:
        self.version += 1
        return self.version

    async def write(self, version: int) -> str:
        assert version == self.version
        if version <= self.conflicts:
            raise self.error
        return f"written at {version}"


async def test_an_edit_is_decided_again_from_what_others_wrote() -> None:
    edited = Edited(3)
    assert await edit_until_accepted(edited.read, edited.write) == "written at 4"


async def test_an_edit_gives_up_after_its_attempts() -> None:
    edited = Edited(100)
    with pytest.raises(ApiError, match="Conflict"):
        await edit_until_accepted(edited.read, edited.write, attempts=5)
    assert edited.version == 5


@pytest.mark.parametrize(
    "error", [ApiError(409, "AlreadyExists", ""), ApiError(422, "Invalid", ""), ApiError(0, "", "")]
)
async def test_any_other_error_is_raised_at_once(error: ApiError) -> None:
    edited = Edited(1, error)
    with pytest.raises(ApiError) as caught:
        await edit_until_accepted(edited.read, edited.write)
    assert caught.value is error and edited.version == 1


async def test_no_attempts_at_all_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        await edit_until_accepted(Edited(0).read, Edited(0).write, attempts=0)
