"""Answers that take their time, uploads, event streams with ids and WebSockets. Each names the color that gave it."""

import asyncio
import os

from aiohttp import web

COLOR = {"X-Color": os.environ.get("ENVCTL_COLOR", "none")}


async def slow(request):
    await asyncio.sleep(int(request.query["ms"]) / 1000)
    return web.Response(text="slow\n", headers=COLOR)


async def upload(request):
    size = 0
    async for piece in request.content.iter_any():
        size += len(piece)
    # Cut short, it is no success.
    whole = size == request.content_length
    return web.Response(text=f"{size}\n", headers=COLOR, status=200 if whole else 400)


async def events(request):
    response = web.StreamResponse(headers={**COLOR, "Content-Type": "text/event-stream"})
    await response.prepare(request)
    count = 0
    try:
        while True:
            count += 1
            await response.write(f"id: {count}\ndata: tick\n\n".encode())
            await asyncio.sleep(0.1)
    except ConnectionError:
        return response


async def websocket(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket


async def name(request, response):
    response.headers.update(COLOR)


app = web.Application()
app.on_response_prepare.append(name)
app.add_routes([
    web.get("/slow", slow),
    web.post("/upload", upload),
    web.get("/events", events),
    web.get("/ws", websocket),
])
web.run_app(app, port=8080, access_log=None, print=None, shutdown_timeout=1, keepalive_timeout=3600)
