from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from bench.plots import pictures
from bench.table import Row, kept

SVG = "{http://www.w3.org/2000/svg}"
MACHINE = "2 x a processor, 24 GiB, Linux 6, load 1.0"


def document(name: str, *rows: Row) -> dict[str, Any]:
    return {"measurement": name, "commit": "abc", "machine": MACHINE, "rows": list(rows)}


def words(picture: str) -> list[str]:
    return [one.text or "" for one in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def test_ratios_say_each_row_and_where_a_goal_is_missed():
    good = Row("one <step> & more", 1.0, 1.0, "s", at_most=1.05)
    bad = Row("slow", 3.0, 1.0, "s", at_most=1.05)
    picture = pictures({"one": document("one", good, bad, Row("no ratio", 1.0, None, ""))})["bench-ratios.svg"]
    said = words(picture)
    assert "one <step> & more" in said and "slow" in said and "no ratio" not in said
    colours = [one.get("fill") for one in ElementTree.fromstring(picture).iter(f"{SVG}circle")]
    assert len(set(colours)) == 2
    assert said[-1] == "commit abc on 2 x a processor, 24 GiB, Linux 6"


def test_the_longest_bar_is_the_largest_figure_and_nothing_leaves_the_picture():
    rows = [Row("live", 4000, 2000, "B", "alone"), Row("finished", 1000, 2000, "B", "alone")]
    root = ElementTree.fromstring(pictures({"etcd_bytes": document("etcd_bytes", *rows)})["bench-etcd-bytes.svg"])
    bars = [one for one in root.iter(f"{SVG}rect") if one.get("x")]
    lengths = [float(one.get("width", 0)) for one in bars]
    assert lengths == [max(lengths), max(lengths) / 2, max(lengths) / 4]
    assert all(float(one.get("x", 0)) + float(one.get("width", 0)) <= float(root.get("width", 0)) for one in bars)


def test_what_was_not_measured_is_not_drawn():
    assert pictures({}) == {}
    assert set(pictures({"mirror_lag": document("mirror_lag", Row("p50", 9, 3, "ms", "a write"))})) == {
        "bench-ratios.svg",
        "bench-mirror-lag.svg",
    }


def test_what_is_in_the_docs_is_what_was_kept():
    images = Path(__file__).resolve().parents[2] / "docs" / "images"
    for name, picture in pictures(kept()).items():
        assert (images / name).read_text() == picture, f"{name} is old: python -m bench.plots"
