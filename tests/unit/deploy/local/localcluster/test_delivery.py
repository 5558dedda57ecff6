"""Tags of loaded images."""

from __future__ import annotations

from localcluster.delivery import with_image


def test_a_loaded_tag_is_replaced_and_old_tags_are_dropped() -> None:
    names = {"library/busybox:*": "b"}
    for number in range(7):
        names = with_image(names, f"runwright:dev-{number}", f"sha256:{number}", kept=3)
    assert names == {
        "library/busybox:*": "b",
        **{f"library/runwright:dev-{number}": f"sha256:{number}" for number in (4, 5, 6)},
    }
    again = with_image(names, "runwright:dev-4", "sha256:new", kept=3)
    assert again["library/runwright:dev-4"] == "sha256:new"
    assert len(again) == len(names)
