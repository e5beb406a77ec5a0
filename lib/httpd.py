"""The HTTP server in one process: connections, bodies, time limits, a graceful end. The one user of aiohttp."""

import asyncio
import logging
import resource
import signal

from tel import stats
from tel.committer import Busy
from tel.errors import UsageError
from tel.receiver import ASK, Answer, client, full, refusal
from tel.submission import Refused, origin

try:
    from aiohttp import web
except ImportError:
    raise UsageError("aiohttp is missing", cure="pip install 'aiohttp>=3.14' (the extra http)") from None

LONGEST_LINE, MOST_HEADERS = 8190, 64  # bytes of the request line and of one header
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
MOST_HELD = 64 << 20  # bytes of bodies that are being read
SPARED = 2  # seconds in which a body is not given up for others
RESERVED = 64  # files that are left for other things than connections
GRACE = 20  # seconds that a stopping server waits for what is in flight


class Server:
    """Serves a Receiver on listening sockets; a request must be all there `patience` seconds after it began."""

    def __init__(self, receiver, patience):
        self.receiver, self.patience = receiver, patience
        self._busy, self._quiet_since = set(), {}
        self._uploads, self._held = {}, 0
        self._most = max(RESERVED, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVED)

    async def serve(self, sockets, ready, rolled):
        """Serve until SIGTERM or SIGINT; `ready()` is called when requests are taken, `rolled()` upon SIGHUP."""
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        for name in ("aiohttp", "asyncio"):  # what clients do wrong is no news, and may tell who they are
            logging.getLogger(name).addHandler(logging.NullHandler())
            logging.getLogger(name).propagate = False
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        loop.add_signal_handler(signal.SIGHUP, rolled)
        server = web.Server(
            self._handle,
            auto_decompress=False,
            access_log=None,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            max_headers=MOST_HEADERS,
            keepalive_timeout=self.patience,
            lingering_time=2,
        )
        listeners = [await loop.create_server(server, sock=sock, backlog=1024) for sock in sockets]
        sweeper = asyncio.ensure_future(self._sweep(server))
        ready()
        await stopped.wait()
        for listener in listeners:
            listener.close()
        await self._drained(server)
        sweeper.cancel()
        await server.shutdown(1)

    async def _drained(self, server):
        """Close the connections that have no request in flight, until none has."""
        until = asyncio.get_running_loop().time() + GRACE
        while True:
            for connection in server.connections:
                if connection not in self._busy:
                    connection.close()
            if not self._busy or asyncio.get_running_loop().time() > until:
                return
            await asyncio.sleep(0.05)

    async def _sweep(self, server):
        """Close the connections that have been without a request, or in the middle of its head, for too long.

        Where there are too many, those that have been so for longest go at once.
        """
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(min(1, self.patience / 4))
            waiting = [connection for connection in server.connections if connection not in self._busy]
            self._quiet_since = {connection: self._quiet_since.get(connection, clock()) for connection in waiting}
            crowd = len(server.connections) - self._most
            for number, (connection, since) in enumerate(self._quiet_since.items()):  # the longest quiet first
                if (clock() > since + self.patience or number < crowd) and connection.transport is not None:
                    connection.transport.abort()

    async def _handle(self, request):
        connection = request.protocol
        self._busy.add(connection)
        try:
            answer = await self._answered(request)
        finally:
            self._busy.discard(connection)
            self._quiet_since.pop(connection, None)
        self.receiver.counters.add("requests")
        self.receiver.counters.add(answer.status)
        response = web.Response(
            status=answer.status,
            body=answer.body,
            headers={"Server": "tel", "Content-Type": answer.type, **answer.headers},
        )
        if answer.status in (411, 413, 415, 417, 503) or not request.content.is_eof():
            response.force_close()
        return response

    async def _answered(self, request):
        try:
            return await asyncio.wait_for(self._answer(request), self.patience)
        except Refused as refused:
            return refusal(refused)
        except (Busy, asyncio.TimeoutError):
            return refusal(full())
        except (ConnectionError, web.HTTPException, asyncio.CancelledError):
            raise
        except Exception as error:
            if error.__class__.__module__.startswith("aiohttp"):
                return Answer(400, b"the body is not what its head says\n")
            stats.say(f"tel-receive: a bug: {error!r}; please report it")
            return Answer(500, b"a bug of ours\n")

    async def _answer(self, request):
        receiver, path = self.receiver, origin(request.raw_path)
        route = receiver.route(request.method, path)
        if route.kind == ASK:
            return await asyncio.get_running_loop().run_in_executor(None, route.find)
        receiver.check_head(request.headers)
        await self._expect(request)
        body = await self._body(request)
        items, answer = receiver.take(route, path, request.headers, self._remote(request), body)
        if items:
            await self._commit(items)
        return answer

    async def _expect(self, request):
        """Tell a client that waits for it to go on."""
        expected = request.headers.get("Expect", "")
        if expected and expected.lower() != "100-continue":
            raise Refused(417, "an expectation of other than 100-continue")
        if expected and request.version >= (1, 1):
            request.transport.write(CONTINUE)

    async def _body(self, request):
        """The body as it came. Raises Refused 413 or 503."""
        size, parts = 0, []
        self._uploads[request.protocol] = asyncio.get_running_loop().time()
        try:
            while part := await request.content.readany():
                self.receiver.check_size(size + len(part))
                if self._held + len(part) > MOST_HELD:
                    await self._make_room(len(part))
                size += len(part)
                self._held += len(part)
                parts.append(part)
            return b"".join(parts)
        finally:
            self._held -= size
            self._uploads.pop(request.protocol, None)

    async def _make_room(self, number):
        """Give up the bodies that have been coming for longest, to have room for others. Raises Refused 503."""
        now = asyncio.get_running_loop().time()
        for connection in [one for one, since in self._uploads.items() if since < now - SPARED]:
            if connection.transport is not None:
                connection.transport.abort()
            await asyncio.sleep(0.01)
            if self._held + number <= MOST_HELD:
                return
        raise full()

    def _remote(self, request):
        if not self.receiver.settings.keep_ip:
            return None
        peer = request.transport.get_extra_info("peername") if request.transport else None
        address = peer[0] if isinstance(peer, tuple) else "unix"
        return client(address, request.headers.get("X-Forwarded-For"), self.receiver.settings.proxies)

    async def _commit(self, items):
        """Wait until the Items are on disk, or, when patience ends, will never be. Raises Busy, Refused 503."""
        loop = asyncio.get_running_loop()
        written = loop.create_future()

        def told(error):
            if not written.done():
                written.set_result(error)

        committer = self.receiver.committer
        request = committer.put(items, lambda error: loop.call_soon_threadsafe(told, error))
        try:
            error = await asyncio.shield(written)
        except asyncio.CancelledError:
            if committer.withdraw(request):
                raise
            error = await written  # it is being written, and the answer has to say what became of it
        if error is not None:
            raise full()


def run(receiver, sockets, patience, ready, rolled):
    """Serve in this process until it is told to stop."""
    asyncio.run(Server(receiver, patience).serve(sockets, ready, rolled))
