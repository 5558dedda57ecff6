"""Select runs: by name, or by what the API server can filter by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runwright.api.labels import ARCHIVED_RUNS, AVAILABLE_RUNS
from runwright.api.resources import PIPELINE_RUNS
from runwright.api.states import Phase
from runwright.kube.client import Form, Page
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, key_of
from runwright.kube.resource import Selection
from runwright.kubectl.session import CommandError, Session, Target

LIST_ATTEMPTS = 3
"""How often a list is started whose pages expire while they are read."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The runs of a command: by name, or by selectors."""

    target: Target
    names: tuple[str, ...] = ()
    selector: str = ""
    phases: tuple[str, ...] = ()
    archived: bool = False


def run_selection(
    namespace: str,
    labels: str = "",
    fields: str = "",
    phases: Sequence[str] = (),
    *,
    archived: bool = False,
    every: bool = False,
) -> Selection:
    """The selection of runs: not archived, with `archived` only archived ones, with `every` both.

    Field selectors have no `in`: several phases exclude all others.
    """
    wanted = [labels] if labels else []
    if archived or not every:
        wanted.append(ARCHIVED_RUNS if archived else AVAILABLE_RUNS)
    chosen = [fields] if fields else []
    if len(phases) == 1:
        chosen.append(f"status.phase={phases[0]}")
    elif phases:
        chosen += [f"status.phase!={phase}" for phase in ("", *Phase) if phase not in phases]
    return Selection(namespace, ",".join(wanted), ",".join(chosen))


async def list_selected(here: Session, selection: Selection, form: Form) -> tuple[Page, list[Json]]:
    """List runs: the first page, and the items or rows of all pages. Starts again where pages expire. Raises ApiError."""
    for last in range(LIST_ATTEMPTS):
        pages: list[Page] = []
        try:
            async for page in here.client.pages(PIPELINE_RUNS, selection, form=form):
                pages.append(page)
        except ApiError as error:
            if error.code != 410 or last == LIST_ATTEMPTS - 1:
                raise
            continue
        return pages[0], [item for page in pages for item in page.items]
    raise AssertionError("unreachable")


async def chosen_keys(here: Session, chosen: Chosen) -> list[Key]:
    """The keys of the chosen runs, each once. Raises CommandError where no run matches."""
    if chosen.names:
        return list(dict.fromkeys(here.key(name) for name in chosen.names))
    selection = run_selection(here.scope, chosen.selector, phases=chosen.phases, archived=chosen.archived, every=True)
    _, items = await list_selected(here, selection, Form.METADATA)
    if not items:
        raise CommandError(f"no runs match in namespace {here.namespace}")
    return [key_of(item) for item in items]
