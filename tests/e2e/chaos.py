"""Kills and pauses processes at random, by a seed: one blow after the other, and what was killed is started again."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

GAP_SECONDS = (0.5, 3.0)
PAUSE_SECONDS = (0.5, 6.0)
DOWN_SECONDS = (0.0, 2.0)


class Victim(Protocol):
    """A process that may die."""

    def kill(self) -> None:
        """End it at once."""
        ...

    def start(self) -> None:
        """Start it again."""
        ...

    def freeze(self) -> None:
        """Stop it in its tracks."""
        ...

    def thaw(self) -> None:
        """Let it go on."""
        ...


@dataclass(frozen=True)
class Blow:
    """What happens to one process."""

    after: float
    """Seconds of peace before it."""
    victim: str
    kill: bool
    """SIGKILL and a new start; else SIGSTOP and SIGCONT."""
    seconds: float
    """How long it is away."""


def blows(seed: int, victims: list[str]) -> Iterator[Blow]:
    """Without end; the same seed gives the same ones."""
    chance = random.Random(seed)
    while True:
        kill = chance.random() < 0.5
        seconds = chance.uniform(*(DOWN_SECONDS if kill else PAUSE_SECONDS))
        yield Blow(chance.uniform(*GAP_SECONDS), chance.choice(victims), kill, seconds)


def strike(
    seed: int, victims: Mapping[str, Victim], seconds: float, tell: Callable[[Counter[str]], None]
) -> Counter[str]:
    """Strike for so many seconds; gives how often each was killed and paused, and tells so after each blow."""
    counted: Counter[str] = Counter()
    deadline = time.monotonic() + seconds
    for blow in blows(seed, list(victims)):
        if time.monotonic() + blow.after > deadline:
            break
        time.sleep(blow.after)
        victim = victims[blow.victim]
        (victim.kill if blow.kill else victim.freeze)()
        time.sleep(blow.seconds)
        (victim.start if blow.kill else victim.thaw)()
        counted[f"{blow.victim} {'killed' if blow.kill else 'paused'}"] += 1
        tell(counted)
    return counted
