"""A hub that keeps to the Mercure protocol 0.x: a stand-in for dunglas/mercure where that cannot be pulled.

Not the real hub: it speaks HTTP/1.1 behind a proxy that has the certificates, keeps its history in memory (bounded, and
gone when it stops), knows HS256 alone, and has no subscription events, no metrics and no cluster. What it does have it
does as the protocol says: topics, URI templates and `*`; private updates; JWT by header, cookie and query; Last-Event-ID.

Settings are those of the official image: MERCURE_PUBLISHER_JWT_KEY, MERCURE_SUBSCRIBER_JWT_KEY, SERVER_NAME (`:80`) and,
in MERCURE_EXTRA_DIRECTIVES, `anonymous`, `heartbeat 15s`, `cors_origins URL…` and `publish_origins URL…`.
"""

import asyncio
import collections
import functools
import json
import os
import re
import sys
import uuid
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import jwt
from aiohttp import web

PATH = "/.well-known/mercure"
COOKIE = "mercureAuthorization"
EARLIEST = "earliest"
HISTORY = 10_000
# Updates that wait for one subscriber. One that does not read is let go, and finds them again by Last-Event-ID.
QUEUE = 1_000
MAX_BODY = 1 << 20
MAX_TOPICS = 100
MAX_TEMPLATE = 2_048
MAX_EXPRESSIONS = 8


class Refused(Exception):
    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status, self.reason = status, reason


# ---- topics ------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def template(text: str) -> re.Pattern | None:
    """The expansions of a URI template (RFC 6570); None for what is not one.

    Each variable is one repetition of a set of characters, its list separators among them: matching never branches.
    """
    # Operator: what comes first, what stands between values, whether names are shown, whether reserved ones may be in them.
    operators = {
        "": ("", ",", False, False),
        "+": ("", ",", False, True),
        "#": ("#", ",", False, True),
        ".": (".", ".", False, False),
        "/": ("/", "/", False, False),
        ";": (";", ";", True, False),
        "?": ("?", "&", True, False),
        "&": ("&", "&", True, False),
    }
    if "{" not in text or len(text) > MAX_TEMPLATE or text.count("{") > MAX_EXPRESSIONS:
        return None
    parts, position = [], 0
    for found in re.finditer(r"\{([^{}]*)\}", text):
        literal = text[position : found.start()]
        if "{" in literal or "}" in literal:
            return None
        parts.append(re.escape(literal))
        position = found.end()
        operator, names = re.fullmatch(r"([+#./;?&]?)(.*)", found[1]).groups()
        first, separator, named, reserved = operators[operator]
        values = []
        for name in names.split(","):
            variable = re.fullmatch(r"((?:\w|%[0-9A-Fa-f]{2})(?:[\w.]|%[0-9A-Fa-f]{2})*)(\*|:[1-9]\d{0,3})?", name)
            if not variable:
                return None
            name, modifier = variable.groups()
            allowed = r"\w\-.~" + (r":/?#\[\]@!$&'()*+;=" if reserved else "")
            if not (modifier or "").startswith(":"):
                allowed += ","
            if modifier == "*":
                allowed += re.escape(separator) + "="
            times = "{0,%s}" % modifier[1:] if (modifier or "").startswith(":") else "*"
            value = f"(?:[{allowed}]|%[0-9A-Fa-f]{{2}}){times}"
            values.append(f"{re.escape(name)}(?:={value})?" if named and modifier != "*" else value)
        joined = values[0] + "".join(f"(?:{re.escape(separator)}{value})?" for value in values[1:])
        parts.append(f"(?:{re.escape(first)}{joined})?")
    if "{" in text[position:] or "}" in text[position:]:
        return None
    return re.compile("".join(parts) + re.escape(text[position:]), re.ASCII)


@functools.lru_cache(maxsize=65536)
def matches(selector: str, topic: str) -> bool:
    if selector in ("*", topic):
        return True
    pattern = template(selector)
    return pattern is not None and pattern.fullmatch(topic) is not None


def any_matches(selectors, topics) -> bool:
    return any(matches(selector, topic) for selector in selectors for topic in topics)


# ---- who asks ----------------------------------------------------------------------------------------------------


def token_of(request: web.Request, origins: set[str]) -> str | None:
    """The request's JWT: of the Authorization header, the `authorization` parameter or the cookie, in this order."""
    header = request.headers.get("Authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Refused(401, "the Authorization header has no bearer token")
        return token.strip()
    if "authorization" in request.query:
        return request.query["authorization"]
    token = request.cookies.get(COOKIE)
    if token and request.method == "POST":
        # A browser sends cookies for any page that asks: only those of the publishers' own origins may.
        origin = request.headers.get("Origin")
        if origin is None:
            referer = urlsplit(request.headers.get("Referer", ""))
            origin = f"{referer.scheme}://{referer.netloc}"
        if origin not in origins and "*" not in origins:
            raise Refused(403, "this origin may not publish")
    return token or None


def claim_of(token: str, key: str) -> dict:
    """The `mercure` claim of a valid token."""
    try:
        # The audience is whoever made the token's business, as in the official hub.
        options = {"verify_aud": False, "verify_sub": False, "verify_iat": False}
        claims = jwt.decode(token, key, algorithms=["HS256"], options=options)
    except jwt.InvalidTokenError as error:
        raise Refused(401, str(error)) from None
    claim = claims.get("mercure")
    if not isinstance(claim, dict):
        raise Refused(401, "the token has no `mercure` claim")
    return claim


def selectors(claim: dict, name: str) -> list[str] | None:
    given = claim.get(name)
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise Refused(401, f"`mercure.{name}` is no list of topic selectors")
    return given


# ---- updates -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Update:
    id: str
    topics: tuple[str, ...]
    private: bool
    text: bytes


@dataclass(eq=False)
class Subscriber:
    topics: tuple[str, ...]
    allowed: tuple[str, ...]
    waiting: asyncio.Queue = field(default_factory=lambda: asyncio.Queue(QUEUE))
    behind: bool = False

    def wants(self, update: Update) -> bool:
        return any_matches(self.topics, update.topics) and (
            not update.private or any_matches(self.allowed, update.topics)
        )

    def give(self, update: Update | None) -> None:
        """None is the end."""
        try:
            self.waiting.put_nowait(update)
        except asyncio.QueueFull:
            self.behind = True


def event(id: str, data: str, kind: str | None, retry: int | None) -> bytes:
    lines = [f"event: {kind}"] if kind else []
    if retry is not None:
        lines.append(f"retry: {retry}")
    lines.append(f"id: {id}")
    lines += [f"data: {line}" for line in re.split(r"\r\n|\r|\n", data)]
    return ("\n".join(lines) + "\n\n").encode()


@dataclass
class Settings:
    publisher_key: str
    subscriber_key: str
    port: int = 80
    anonymous: bool = False
    heartbeat: float = 40.0
    cors_origins: set[str] = field(default_factory=set)
    publish_origins: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, environment) -> "Settings":
        keys = {}
        for role in ("PUBLISHER", "SUBSCRIBER"):
            keys[role] = environment.get(f"MERCURE_{role}_JWT_KEY", "")
            if len(keys[role]) < 32:
                raise ValueError(f"MERCURE_{role}_JWT_KEY needs 32 characters or more")
        settings = cls(keys["PUBLISHER"], keys["SUBSCRIBER"])
        name = environment.get("SERVER_NAME", ":80")
        settings.port = int(name.rpartition(":")[2]) if ":" in name else 80
        for line in environment.get("MERCURE_EXTRA_DIRECTIVES", "").splitlines():
            match line.split():
                case []:
                    pass
                case ["anonymous"]:
                    settings.anonymous = True
                case ["heartbeat", time] if re.fullmatch(r"\d+(\.\d+)?s", time):
                    settings.heartbeat = float(time[:-1])
                case ["cors_origins", *origins]:
                    settings.cors_origins |= set(origins)
                case ["publish_origins", *origins]:
                    settings.publish_origins |= set(origins)
                case _:
                    raise ValueError(f"this hub does not know the directive `{line.strip()}`")
        return settings


class Hub:
    def __init__(self, settings: Settings):
        self.settings = settings
        self.history: collections.deque[Update] = collections.deque(maxlen=HISTORY)
        self.subscribers: set[Subscriber] = set()

    # No `await` in the next two: what is given out is in the history, and nothing comes between history and queue.

    def dispatch(self, update: Update) -> None:
        self.history.append(update)
        for subscriber in self.subscribers:
            if subscriber.wants(update):
                subscriber.give(update)

    def subscribe(self, subscriber: Subscriber, last: str | None) -> tuple[list[Update], str | None]:
        """Takes the subscriber in; what it has missed, and the id that precedes that."""
        self.subscribers.add(subscriber)
        if last is None:
            return [], None
        history = list(self.history)
        if last == EARLIEST:
            return [update for update in history if subscriber.wants(update)], EARLIEST
        for position in range(len(history) - 1, -1, -1):
            if history[position].id == last:
                return [update for update in history[position + 1 :] if subscriber.wants(update)], last
        # It cannot say what was missed; the answer's header tells the client so.
        return [], EARLIEST

    async def publish(self, request: web.Request) -> web.Response:
        token = token_of(request, self.settings.publish_origins)
        if token is None:
            raise Refused(401, "publishing needs a token")
        allowed = selectors(claim_of(token, self.settings.publisher_key), "publish")
        if allowed is None:
            raise Refused(401, "the token has no `mercure.publish` claim")
        if request.content_type != "application/x-www-form-urlencoded":
            raise Refused(400, "an update is application/x-www-form-urlencoded")
        try:
            form = parse_qs((await request.read()).decode(), keep_blank_values=True, max_num_fields=200)
        except ValueError:
            raise Refused(400, "the form cannot be read") from None
        topics = tuple(form.get("topic", ()))
        if not topics or "" in topics or len(topics) > MAX_TOPICS:
            raise Refused(400, "an update has one `topic` or more")
        retry = form.get("retry", [None])[0]
        if retry is not None and not re.fullmatch(r"\d{1,9}", retry):
            raise Refused(400, "`retry` is a number of milliseconds")
        id = form.get("id", [""])[0] or f"urn:uuid:{uuid.uuid4()}"
        kind = form.get("type", [None])[0]
        for name, value in (("id", id), ("type", kind or "")):
            # A line's end would begin another field, and `#` is kept for the hub.
            if re.search(r"[\r\n\0]", value) or (name == "id" and value.startswith("#")) or id == EARLIEST:
                raise Refused(400, f"`{name}` cannot be that")
        if not all(any_matches(allowed, (topic,)) for topic in topics):
            raise Refused(401, "the token does not cover all topics")
        text = event(id, form.get("data", [""])[0], kind, None if retry is None else int(retry))
        self.dispatch(Update(id, topics, "private" in form, text))
        return web.Response(text=id)

    async def events(self, request: web.Request) -> web.StreamResponse:
        topics = tuple(request.query.getall("topic", ()))
        if not topics or "" in topics or len(topics) > MAX_TOPICS:
            raise Refused(400, "a subscription has one `topic` or more")
        for topic in topics:
            if len(topic) > MAX_TEMPLATE or topic.count("{") > MAX_EXPRESSIONS:
                raise Refused(400, "a topic selector is too long")
        token = token_of(request, set())
        allowed: tuple[str, ...] = ()
        if token is not None:
            allowed = tuple(selectors(claim_of(token, self.settings.subscriber_key), "subscribe") or ())
        elif not self.settings.anonymous:
            raise Refused(401, "subscribing needs a token")
        last = request.headers.get("Last-Event-ID") or request.query.get("lastEventID")

        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "private, no-cache, no-store, must-revalidate, max-age=0",
                "X-Accel-Buffering": "no",
                **cors(request, self.settings),
            }
        )
        subscriber = Subscriber(topics, allowed)
        missed, before = self.subscribe(subscriber, last)
        if before is not None:
            response.headers["Last-Event-ID"] = before
        try:
            await response.prepare(request)
            # At once: a client knows then that it is in, and proxies have something to pass on.
            await response.write(b":\n" + b"".join(update.text for update in missed))
            await self.follow(subscriber, response)
        except ConnectionError:
            pass  # the client went away
        finally:
            self.subscribers.discard(subscriber)
        return response

    async def follow(self, subscriber: Subscriber, response: web.StreamResponse) -> None:
        while not subscriber.behind:
            try:
                update = await asyncio.wait_for(subscriber.waiting.get(), self.settings.heartbeat)
            except TimeoutError:
                await response.write(b":\n")
                continue
            text = []
            while update is not None:
                text.append(update.text)
                update = None if subscriber.waiting.empty() else subscriber.waiting.get_nowait()
            if text:
                await response.write(b"".join(text))
            else:
                break
        await response.write_eof()


# ---- the server --------------------------------------------------------------------------------------------------


def cors(request: web.Request, settings: Settings) -> dict[str, str]:
    origin = request.headers.get("Origin")
    if origin is None or origin not in settings.cors_origins:
        return {"Vary": "Origin"}
    return {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "Last-Event-ID",
    }


def application(settings: Settings) -> web.Application:
    hub = Hub(settings)

    async def mercure(request: web.Request) -> web.StreamResponse:
        match request.method:
            case "GET":
                return await hub.events(request)
            case "POST":
                return await hub.publish(request)
            case "OPTIONS":
                allow = {
                    "Access-Control-Allow-Methods": "GET, POST",
                    "Access-Control-Allow-Headers": "Authorization, Cache-Control, Content-Type, Last-Event-ID",
                    "Access-Control-Max-Age": "600",
                }
                headers = cors(request, settings)
                return web.Response(status=204, headers=headers | allow if len(headers) > 1 else headers)
        raise Refused(405, "GET subscribes and POST publishes")

    @web.middleware
    async def refusals(request: web.Request, handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except Refused as refused:
            headers = {"WWW-Authenticate": "Bearer"} if refused.status == 401 else {}
            if refused.status == 405:
                headers["Allow"] = "GET, POST, OPTIONS"
            response = web.Response(status=refused.status, text=f"{refused.reason}\n", headers=headers)
        if not response.prepared:
            response.headers.update(cors(request, settings))
        return response

    async def health(_: web.Request) -> web.Response:
        counts = {"subscribers": len(hub.subscribers), "history": len(hub.history)}
        return web.Response(text=json.dumps(counts), content_type="application/json")

    async def stop(_: web.Application) -> None:
        for subscriber in hub.subscribers:
            subscriber.give(None)

    app = web.Application(middlewares=[refusals], client_max_size=MAX_BODY)
    app.router.add_route("*", PATH, mercure)
    app.router.add_get("/healthz", health)
    app.on_shutdown.append(stop)
    return app


def main() -> None:
    try:
        settings = Settings.read(os.environ)
    except ValueError as error:
        sys.exit(f"hub: {error}")
    print(f"hub: a stand-in for Mercure listens on port {settings.port}")
    web.run_app(
        application(settings), port=settings.port, access_log=None, print=None, shutdown_timeout=5, keepalive_timeout=120
    )


if __name__ == "__main__":
    main()
