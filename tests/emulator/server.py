"""The emulator on a port: AWS's calls, data channels, and a few addresses for tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from emulator import aws
from emulator.aws import ApiError
from emulator.link import Faults
from emulator.service import Service
from emulator.session import Client, Session

_OPEN_WITHIN = 10.0
_LARGEST_BODY = 4 << 20


class Server:
    """A service behind HTTP and websockets, on 127.0.0.1."""

    def __init__(self, service: Service) -> None:
        """Take the service; nothing listens before `start`."""
        self.service = service
        self._runner: web.AppRunner | None = None
        self._sockets: set[web.WebSocketResponse] = set()
        self._refused: dict[str, int] = {}

    async def start(self, port: int = 0) -> int:
        """Listen; return the port."""
        application = web.Application(client_max_size=_LARGEST_BODY)
        application.router.add_post("/", self._call)
        application.router.add_get("/v1/data-channel/{session}", self._data_channel)
        application.router.add_get("/_emulator/report", self._report)
        application.router.add_post("/_emulator/reset", self._reset)
        application.router.add_post("/_emulator/faults", self._faults)
        application.router.add_post("/_emulator/stop-task", self._stop_task)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        bound: int = self._runner.addresses[0][1]
        await self.service.start(f"127.0.0.1:{bound}")
        return bound

    async def stop(self) -> None:
        """End everything."""
        await self.service.stop()
        for socket in list(self._sockets):
            await socket.close()
        if self._runner is not None:
            await self._runner.cleanup()

    # --- AWS

    async def _call(self, http: web.Request) -> web.Response:
        headers = {name.title(): value for name, value in http.headers.items()}
        try:
            request = aws.parse(headers, await http.read())
        except ApiError as error:
            answer = aws.refusal(error, "")
        else:
            answer = await self.service.call(request, headers.get("User-Agent", ""))
            if self.service.cuts(request.action) and http.transport is not None:
                http.transport.abort()
        return web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))

    # --- Data channels

    async def _data_channel(self, http: web.Request) -> web.StreamResponse:
        session = self.service.sessions.get(http.match_info["session"])
        if session is None:
            return web.Response(status=404)
        await asyncio.sleep(session.link.faults.open_delay)
        refusals = session.link.faults.refuse_open
        refused = self._refused.get(session.id, 0)
        if refusals < 0 or refused < refusals:
            self._refused[session.id] = refused + 1
            return web.Response(status=503)
        refusal = self.service.upgrade_refusal(session, http.raw_path, list(http.headers.items()))
        if refusal is not None:
            # As AWS's services refuse calls of this kind: the error's code in a header, its text in the body.
            content = {"message": refusal.message}
            return web.json_response(content, status=403, headers={"x-amzn-ErrorType": refusal.code})
        socket = web.WebSocketResponse(max_msg_size=_LARGEST_BODY, compress=False)
        try:
            await socket.prepare(http)
        except ConnectionResetError:  # the client has not waited
            return web.Response(status=400)
        self._sockets.add(socket)
        try:
            await self._serve(session, socket, http)
        finally:
            self._sockets.discard(socket)
        return socket

    async def _serve(self, session: Session, socket: web.WebSocketResponse, http: web.Request) -> None:
        first = await socket.receive(timeout=_OPEN_WITHIN)
        why_not = "first message is no text" if first.type is not WSMsgType.TEXT else ""
        if why_not := why_not or self.service.admits(session, str(first.data)):
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=why_not.encode())
            return

        def cut() -> None:
            if http.transport is not None:
                http.transport.abort()

        client = Client(socket.send_bytes, cut)
        await session.attach(client)
        try:
            async for message in socket:
                if message.type is WSMsgType.BINARY:
                    await session.receive(message.data)
                elif message.type is WSMsgType.TEXT:
                    session.violations.append("client sent a second text message")
        finally:
            session.detach(client)

    # --- For tests

    async def _report(self, _http: web.Request) -> web.Response:
        return web.json_response(self.service.report())

    async def _reset(self, _http: web.Request) -> web.Response:
        await self.service.reset()
        return web.json_response({})

    async def _faults(self, http: web.Request) -> web.Response:
        try:
            self.service.set_faults(Faults.from_mapping(_mapping(await http.json())))
        except ValueError as error:
            return web.json_response({"message": str(error)}, status=400)
        return web.json_response({})

    async def _stop_task(self, http: web.Request) -> web.Response:
        try:
            content = _mapping(await http.json())
        except ValueError as error:
            return web.json_response({"message": str(error)}, status=400)
        name = str(content.get("task", "")).rpartition("/")[2]
        task = next((task for task in self.service.tasks if task.id == name), None)
        if task is None:
            return web.json_response({"message": f"there is no task {name}"}, status=404)
        code = str(content.get("stopCode", "UserInitiated"))
        await self.service.stop_task(task, code, str(content.get("reason", "")), content.get("exitCode"))
        return web.json_response({})


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("body is no JSON object")  # noqa: TRY004 - a fault of what was sent
    return value


async def serve_until(server: Server, ended: asyncio.Event) -> None:
    """Wait for the end, then stop."""
    with contextlib.suppress(asyncio.CancelledError):
        await ended.wait()
    await server.stop()
