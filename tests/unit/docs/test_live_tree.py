"""The picture in README.md shows what the package draws."""

from __future__ import annotations

from docs.images import live_tree


def test_the_committed_picture_equals_the_generated_one():
    assert live_tree.PICTURE.read_text(encoding="utf-8") == live_tree.picture(), "run `make generate`"


def test_the_picture_shows_each_node_and_loads_nothing_from_elsewhere():
    drawn = live_tree.picture()
    for name in ("features(1:us)", "train(0)", "report"):
        assert name in drawn
    assert "url(http" not in drawn
    assert "@font-face" not in drawn
