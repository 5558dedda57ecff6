"""Kopf's credentials: an HTTP session of its own, with the login of the rest of the operator."""

from __future__ import annotations

import asyncio
import math

import aiohttp
import kopf

from runwright.controller.kopf_stream import KopfResponse
from runwright.kube.login import Login
from runwright.kube.session import open_session

BRIEF_SECONDS = 60.0
"""A session that Kopf replaces sooner was refused by the API server (401 Unauthorized)."""

MAX_PAUSE = 10.0
"""Longest pause, in seconds, before another session is opened after such a refusal."""


class KopfLogin:
    """Opens the sessions of Kopf, which closes them."""

    def __init__(self, login: Login, user_agent: str, *middlewares: aiohttp.ClientMiddlewareType) -> None:
        """`middlewares` of the sessions delay requests, and decode lists and watches."""
        self._login = login
        self._user_agent = user_agent
        self._middlewares = middlewares
        self._opened_at = -math.inf
        self._refusals = 0

    def register(self, registry: kopf.OperatorRegistry) -> None:
        """Register the login handler. Kopf (1.45.2) calls it at its start, and after each reply 401."""

        @kopf.on.login(registry=registry)
        async def logged_in(**_: object) -> kopf.AiohttpSession:
            return await self.open()

    async def open(self) -> kopf.AiohttpSession:
        """Open a session; after refusals, with a back-off."""
        loop = asyncio.get_running_loop()
        self._refusals = self._refusals + 1 if loop.time() - self._opened_at < BRIEF_SECONDS else 0
        if self._refusals > 1:
            await asyncio.sleep(min(MAX_PAUSE, 0.1 * 2**self._refusals))
        self._opened_at = loop.time()
        # No limit on connections: each watch holds one, and there is one for each kind and namespace.
        session = open_session(
            self._login, self._user_agent, connections=0, response_class=KopfResponse, middlewares=self._middlewares
        )
        return kopf.AiohttpSession(
            server=self._login.server, default_namespace=self._login.namespace, aiohttp_session=session
        )
