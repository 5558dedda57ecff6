"""The error that this tool shows to users."""


class ClusterError(Exception):
    """An error for the user: `problem` says what is wrong, `next_step` what to do. Both are whole sentences."""

    def __init__(self, problem: str, next_step: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.problem}\n  next: {self.next_step}"
