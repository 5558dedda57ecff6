"""Labels and selectors of runs."""

from __future__ import annotations

from runwright.api import labels


def test_every_label_and_annotation_is_unique_and_in_the_group_of_runwright_or_argo():
    names = [getattr(labels, name) for name in dir(labels) if name.endswith(("_LABEL", "_ANNOTATION"))]
    assert len(names) == len(set(names)) >= 5
    assert all(name.startswith(("runwright.dev/", "workflows.argoproj.io/")) for name in names)


def test_the_selectors_of_archived_and_available_runs_are_complements():
    assert f"{labels.STORAGE_STATE_LABEL}=Archived" == labels.ARCHIVED_RUNS
    assert labels.ARCHIVED_RUNS.replace("=", "!=") == labels.AVAILABLE_RUNS
