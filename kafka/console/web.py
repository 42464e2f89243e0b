"""`python -m kafka.console.web`: the console in the browser, for the pages of this stack alone.

A browser lets any page open a WebSocket to any address, this machine's own included, and a name that somebody else owns
may point here: what does not come from the console's own page under a name of its own is refused.
"""

from __future__ import annotations

import ipaddress
import shlex
import sys
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler
from textual_serve.server import Server

from clicklake.settings import Settings
from kafka.console import SESSIONS

POLICY = "default-src 'self' 'unsafe-inline' data:; connect-src 'self'; frame-ancestors 'none'"
"""The page would fetch a font from elsewhere."""
COMMAND = shlex.join([sys.executable, "-P", "-m", "kafka.console"])


class Console(Server):
    """One console for each page that is open."""

    def __init__(self, settings: Settings) -> None:
        port, url = settings.port("kafka_console"), settings.public_url("kafka_console")
        super().__init__(COMMAND, settings.bind_host, port, title="Kafka", public_url=url)
        self._names = {settings.public_host, settings.kafka_console_host, "localhost"}
        self._open = 0

    async def _make_app(self) -> web.Application:
        app: web.Application = await super()._make_app()
        app.middlewares.append(self._own_pages_only)
        return app

    @web.middleware
    async def _own_pages_only(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._ours(request.host) or request.headers.get("Origin", self.public_url) != self.public_url:
            raise web.HTTPForbidden(text=f"This is {self.public_url}, for its own page alone\n")
        if request.path == "/" and request.host != urlsplit(self.public_url).netloc:
            # The page's own requests go to the public address: under another name they would be a stranger's.
            raise web.HTTPFound(self.public_url)
        answer = await handler(request)
        if not answer.prepared:
            answer.headers["Content-Security-Policy"] = POLICY
        return answer

    def _ours(self, host: str) -> bool:
        name = urlsplit(f"//{host}").hostname or ""
        return name in self._names or _is_address(name)

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """A console for one page; 503 when as many are open as may be."""
        if self._open >= SESSIONS:
            raise web.HTTPServiceUnavailable(text=f"{SESSIONS} consoles are open, and no more may be; close one\n")
        self._open += 1
        try:
            socket: web.WebSocketResponse = await super().handle_websocket(request)
            return socket
        finally:
            self._open -= 1


def _is_address(name: str) -> bool:
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


if __name__ == "__main__":
    Console(Settings.from_env()).serve()
