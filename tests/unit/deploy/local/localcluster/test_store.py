"""The image store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from localcluster import store
from localcluster.layers import Process


def test_pruning_keeps_the_images_of_records(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(store, "STATE_ROOT", tmp_path / "clusters")
    kept = store.put_image([store.put_bytes(b"layer")], Process())
    store.put_image([store.put_bytes(b"other")], Process(user="1"))
    (cache / "images" / "steps-0123456789abcdef.json").write_text(json.dumps({"x": kept.digest}))
    assert store.prune() == 3
    assert store.has_image(kept.digest)
