from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from bench.plots import BEGIN, END, LEFT, ORDER, PAGE, pictures, with_table
from bench.table import Row, kept

SVG = "{http://www.w3.org/2000/svg}"
MACHINE = "2 x a processor, 24 GiB, Linux 6, load 1.0"


def document(name: str, *rows: Row) -> dict[str, Any]:
    return {"measurement": name, "commit": "abc", "machine": MACHINE, "rows": list(rows)}


def words(picture: str) -> list[str]:
    return [one.text or "" for one in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def test_ratios_show_each_row_and_mark_missed_goals():
    good = Row("one <step> & more", 1.0, 1.0, "s", at_most=1.05)
    bad = Row("slow", 3.0, 1.0, "s", at_most=1.05)
    picture = pictures({"one": document("one", good, bad, Row("no ratio", 1.0, None, ""))})["bench-ratios.svg"]
    texts = words(picture)
    assert "one <step> & more" in texts and "slow" in texts and "no ratio" not in texts
    colours = [one.get("fill") for one in ElementTree.fromstring(picture).iter(f"{SVG}circle")]
    assert len(set(colours)) == 2
    assert texts[-1] == "commit abc on 2 x a processor, 24 GiB, Linux 6"


def test_bars_are_proportional_and_inside_the_picture():
    rows = [Row("live", 4000, 2000, "B", "alone"), Row("finished", 1000, 2000, "B", "alone")]
    root = ElementTree.fromstring(pictures({"etcd_bytes": document("etcd_bytes", *rows)})["bench-etcd-bytes.svg"])
    bars = [one for one in root.iter(f"{SVG}rect") if one.get("x")]
    lengths = [float(one.get("width", 0)) for one in bars]
    assert lengths == [max(lengths), max(lengths) / 2, max(lengths) / 4]
    assert all(float(one.get("x", 0)) + float(one.get("width", 0)) <= float(root.get("width", 0)) for one in bars)


def test_quartiles_are_inside_the_picture():
    row = Row("wide", 1.0, 1.0, "s", "alone", low=0.01, high=40.0)
    root = ElementTree.fromstring(pictures({"one": document("one", row)})["bench-ratios.svg"])
    places = [float(one.get(end, -1)) for one in root.iter(f"{SVG}line") for end in ("x1", "x2")]
    assert all(LEFT <= place <= float(root.get("width", 0)) for place in places)


def test_a_restart_is_compared_with_one_without_runs():
    rows = [
        Row("restart, 10 live", 2.0, 1.0, "s", "no runs"),
        Row("restart, 10 live + 200 archived", 4.0, 2.0, "s", "the live runs alone"),
        Row("etcd, 10 live + 200 archived", 8.0, None, "MiB"),
    ]
    drawn = pictures({"archive_scale": document("archive_scale", *rows)})
    assert set(drawn) == {"bench-ratios.svg", "bench-restart.svg"}
    root = ElementTree.fromstring(drawn["bench-restart.svg"])
    lengths = [float(one.get("width", 0)) for one in root.iter(f"{SVG}rect") if one.get("x")]
    assert lengths == [max(lengths) / 4, max(lengths) / 2, max(lengths)]
    assert "no runs" in words(drawn["bench-restart.svg"])


def test_missing_results_have_no_picture():
    assert pictures({}) == {}
    assert pictures({"api_writes": document("api_writes", Row("writes", 4.0, None, ""))}) == {}
    assert pictures({"etcd_bytes": document("etcd_bytes"), "archive_scale": document("archive_scale")}) == {}
    assert set(pictures({"mirror_lag": document("mirror_lag", Row("p50", 9, 3, "ms", "a write"))})) == {
        "bench-ratios.svg",
        "bench-mirror-lag.svg",
    }


def test_the_table_of_the_page_has_the_kept_results():
    assert with_table(PAGE.read_text(), kept()) == PAGE.read_text(), "run `python -m bench.plots`"
    assert set(kept()) <= set(ORDER)
    row = Row("create to finished", 1.0, 2.0, "s", "Argo alone", at_most=1.05)
    results = document("throughput", row) | {"command": "python -m bench throughput", "date": "2026-11-27T01:02:03"}
    page = with_table(f"# Head\n{BEGIN}old{END}\nrest", {"throughput": results})
    assert "| create to finished | 1.000 s | 2.000 s: Argo alone | **0.5** | ≤ 1.05: met |" in page
    assert "old" not in page and page.startswith("# Head") and page.endswith("rest")


def test_the_pictures_of_the_docs_show_the_kept_results():
    images = Path(__file__).resolve().parents[3] / "docs" / "images"
    for name, picture in pictures(kept()).items():
        assert (images / name).read_text() == picture, f"{name}: run `python -m bench.plots`"
