"""The one error this tool shows to a person."""


class ClusterError(Exception):
    """Something the user has to know about, with the next thing to do.

    `problem` says what is wrong, `next_step` what to do about it; both are whole sentences.
    """

    def __init__(self, problem: str, next_step: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.problem}\n  next: {self.next_step}"
