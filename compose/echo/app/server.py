"""The connections that stay open: GET /events (server-sent events) and GET /ws (WebSocket echo).

A service of its own because each such connection would occupy a PHP worker for as long as it lasts. Every event and
every message names the color and release that sent it, so a client sees on which stack it is.
"""

import asyncio
import json
import os
import re

from aiohttp import WSCloseCode, WSMsgType, web

IDENTITY = {
    "color": os.environ.get("ENVCTL_COLOR", "none"),
    "release": os.environ.get("ENVCTL_RELEASE", "none"),
}
ORIGINS = {o.strip() for o in os.environ.get("FRONTEND_ORIGIN", "").split(",") if o.strip()}
HEADERS = {f"X-{name.title()}": re.sub(r"[^\w.:-]", "", value) for name, value in IDENTITY.items()}
MAX_MESSAGE = 1 << 20

STOPPING = web.AppKey("stopping", asyncio.Event)
SOCKETS = web.AppKey("sockets", set)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    origin = request.headers.get("Origin")
    if origin in ORIGINS:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "X-Color, X-Release"
    response.headers.add("Vary", "Origin")


@web.middleware
async def errors_as_json(request: web.Request, handler):
    try:
        return await handler(request)
    except web.HTTPException as error:
        code = error.reason.lower().replace(" ", "_")
        body = {"error": {"code": code, "message": error.reason}, **IDENTITY}
        headers = {k: v for k, v in error.headers.items() if k in ("Allow", "Upgrade")}
        return web.json_response(body, status=error.status, headers=headers)


async def health(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok", **IDENTITY})


def number(text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"\d{1,18}", text):
        raise web.HTTPBadRequest
    return min(max(int(text), low), high)


async def events(request: web.Request) -> web.StreamResponse:
    """One event at once, then one every `interval` milliseconds; goes on counting where the client lost the stream."""
    interval = number(request.query.get("interval", "1000"), 20, 60_000) / 1000
    last = request.headers.get("Last-Event-ID", "")
    count = int(last) if re.fullmatch(r"\d{1,15}", last) else 0
    stopping = request.app[STOPPING]

    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-cache, no-transform",
            "X-Accel-Buffering": "no",
        }
    )
    await response.prepare(request)
    try:
        await response.write(b"retry: 500\n\n")
        while not stopping.is_set():
            count += 1
            data = json.dumps({"count": count, **IDENTITY})
            await response.write(f"id: {count}\nevent: tick\ndata: {data}\n\n".encode())
            try:
                await asyncio.wait_for(stopping.wait(), interval)
            except TimeoutError:
                pass
        await response.write_eof()
    except ConnectionError:
        pass  # the client went away
    return response


async def websocket(request: web.Request) -> web.StreamResponse:
    """Text comes back wrapped in JSON, binary as it is; a greeting names the stack before the first message."""
    socket = web.WebSocketResponse(heartbeat=20, max_msg_size=MAX_MESSAGE)
    if not socket.can_prepare(request).ok:
        raise web.HTTPUpgradeRequired(headers={"Upgrade": "websocket"})
    await socket.prepare(request)
    request.app[SOCKETS].add(socket)
    try:
        await socket.send_json({"type": "hello", **IDENTITY})
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_json({"type": "echo", "data": message.data, **IDENTITY})
            elif message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data)
    except ConnectionError:
        pass
    finally:
        request.app[SOCKETS].discard(socket)
    return socket


async def close_all(app: web.Application) -> None:
    """A stop says goodbye, so that clients come back at once instead of waiting for a time-out."""
    app[STOPPING].set()
    await asyncio.gather(
        *(s.close(code=WSCloseCode.SERVICE_RESTART, message=b"stopping") for s in set(app[SOCKETS])),
        return_exceptions=True,
    )


def make_app() -> web.Application:
    app = web.Application(middlewares=[errors_as_json])
    app[STOPPING] = asyncio.Event()
    app[SOCKETS] = set()
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(close_all)
    app.router.add_get("/health", health)
    app.router.add_get("/events", events, allow_head=False)
    app.router.add_get("/ws", websocket, allow_head=False)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), port=8080, access_log=None, shutdown_timeout=5, print=None, keepalive_timeout=120)
