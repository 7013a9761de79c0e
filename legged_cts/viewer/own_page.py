"""viser's server for our own page alone: no other web page reaches it, and it opens no tunnel."""

from __future__ import annotations

import contextlib
import http
import ipaddress
import math
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import viser
import websockets.asyncio.server
from viser import _messages
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

UNUSED = (
    _messages.ShareUrlRequest,
    _messages.ShareUrlDisconnect,
    _messages.FileTransferStartUpload,
    _messages.FileTransferPart,
)
"""Messages of browsers that are not answered: viser would relay the page through a server of others, or take files."""


Answer = Callable[[Any], Awaitable[None]]
"""Talks over one websocket until it is closed."""


def open_server(host: str, port: int, label: str, sockets: Mapping[str, Answer] | None = None) -> viser.ViserServer:
    """Start a server that answers requests to this machine by name or number, and of these only its own page's.

    Args:
        host: Address to listen on.
        port: Port to listen on, or the next free one.
        label: Title of the page.
        sockets: Who answers websockets of ours, by the path that our page opens; all others are viser's.
    """
    with _own_page_only(host, sockets or {}):
        server = viser.ViserServer(host=host, port=port, label=label, verbose=False)
    handlers: Any = server._websock_server._incoming_handlers
    for message in UNUSED:
        handlers.pop(message, None)
    server.request_share_url = _no_tunnel  # type: ignore[method-assign]
    update = server.gui._handle_gui_updates

    async def checked(client: Any, message: _messages.GuiUpdateMessage) -> None:
        # A page changes the values of its controls and nothing else of them, such as the ends of a slider.
        if set(message.updates) == {"value"} and _is_plain(message.updates["value"]):
            await update(client, message)

    handlers[_messages.GuiUpdateMessage] = [checked]
    return server


def is_own(host: str, headers: Headers, websocket: bool) -> bool:
    """Whether a request is to this machine, and if it is for a websocket from a page that it served itself.

    A browser tells in ``Origin`` which page asks, and in ``Host`` which name it looked up: another page's name may lead
    here, too.
    """
    hosts, origins = headers.get_all("Host"), headers.get_all("Origin")
    if len(hosts) != 1:
        return False
    name = hosts[0].rpartition(":")[0] if hosts[0].rpartition(":")[2].isdigit() else hosts[0]
    with contextlib.suppress(ValueError):
        name = str(ipaddress.ip_address(name.strip("[]")))
        host = name
    if name not in (host, "localhost", socket.gethostname()):
        return False
    return not websocket or origins == [f"http://{hosts[0]}"]


@contextlib.contextmanager
def _own_page_only(host: str, sockets: Mapping[str, Answer]) -> Iterator[None]:
    """Let servers that start meanwhile look at who asks; viser has no option for it."""
    serve = websockets.asyncio.server.serve

    def guarded(
        handler: Answer, *args: Any, process_request: Callable[..., Response | None] | None = None, **options: Any
    ) -> Any:
        async def route(connection: Any) -> None:
            await sockets.get(connection.request.path, handler)(connection)

        def look(connection: Any, request: Request) -> Response | None:
            websocket = "websocket" in request.headers.get("Upgrade", "").lower()
            try:
                own = is_own(host, request.headers, websocket)
            except Exception:  # a header that occurs twice
                own = False
            if not own:
                return Response(http.HTTPStatus.FORBIDDEN, "Forbidden", Headers(), b"not this server's own page\n")
            return process_request(connection, request) if process_request else None

        return serve(route, *args, process_request=look, **options)

    websockets.asyncio.server.serve = guarded  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        websockets.asyncio.server.serve = serve  # type: ignore[misc]


def _no_tunnel(verbose: bool = True) -> None:
    """Refuse: the viewer is for this machine, or for the network of ``host=``."""


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | str) or (isinstance(value, int | float) and math.isfinite(value))
