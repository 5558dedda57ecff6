"""Reads an artifact for a reply of ReadArtifact, within the budget of bytes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from runwright.service.budget import Quota
from runwright.service.calls import Call
from runwright.service.contract.run_pb2 import ReadArtifactResponse

AT_A_TIME = 3
"""Artifacts that are read at the same time; one for each caller, whose object store may be slow."""

WAIT_SECONDS = 30.0
"""How long a call waits for its turn, and for other replies to be sent."""


class ArtifactReplies:
    """Reads artifacts, a few at a time."""

    def __init__(self) -> None:
        self._turns = Quota("artifacts that are read", AT_A_TIME, 1)

    async def read(self, pieces: AsyncGenerator[bytes], call: Call) -> ReadArtifactResponse:
        """Read all pieces into a reply; each is charged twice, since the reply is a copy of them.

        Both copies stay charged until the reply was sent: REST encodes it from one, gRPC into one. Raises ServiceError
        (RESOURCE_EXHAUSTED) while other replies take up the budget, and what the pieces raise.
        """
        async with aclosing(pieces):
            with self._turns.hold(call.caller.user) as turn:
                await turn.add_when_free(1, WAIT_SECONDS)
                read = list[bytes]()
                async for piece in pieces:
                    await call.reply.add_when_free(2 * len(piece), WAIT_SECONDS)
                    read.append(piece)
                data = b"".join(read)
                read.clear()
                return ReadArtifactResponse(data=data)
