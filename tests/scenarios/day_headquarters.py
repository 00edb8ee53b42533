"""Headquarters that is killed in the middle of a transaction and started again, and a network that comes between."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any, Literal, TypeVar

import httpx
import msgspec
from seeded_site import URL
from sqlalchemy.ext.asyncio import AsyncEngine
from virtual import AsgiTransport, Inline, Network
from whole_system import Office

from cloud.access import accounts
from cloud.app import build
from cloud.config import Config, Cycle
from cloud.store.database import open_engine, writing
from cloud.store.migrate import migrate

#: Seconds between two tries of the people at headquarters.
AGAIN_S = 4.0
#: Jobs of the database within which a killed headquarters dies: some transactions of pushes and pages.
MOST_JOBS = 400

T = TypeVar("T")


def copy_as_killed(source: Path, target: Path) -> None:
    """The database file and its log as a kill leaves them at this moment; the shared memory dies with the process."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for suffix in ("", "-wal"):
        if (file := source.with_name(source.name + suffix)).exists():
            shutil.copyfile(file, target.with_name(target.name + suffix))


class Headquarters:
    """One server process after the other on one database; an ASGI application. A dead one answers nobody any more."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network, self.folder = network, folder
        self.life = 0
        self.up = False
        self.faults: Counter[str] = Counter()
        self._app: Any = None
        self._lives: list[asyncio.Task[None]] = []
        self._over = asyncio.Event()

    @property
    def database(self) -> Path:
        return self.folder / f"{self.life}" / "cloud.db"

    async def start(self) -> None:
        """Start a process on the present file; returns when it answers."""
        started = asyncio.Event()
        self._lives.append(asyncio.ensure_future(self._live(started)))
        await started.wait()

    async def _live(self, started: asyncio.Event) -> None:
        """One process. A dead one is taken down at the end of the day: its open requests must be able to end."""
        self.database.parent.mkdir(parents=True, exist_ok=True)
        self.runtime = self.network.runtime(f"headquarters {self.life}")
        self.engine: AsyncEngine = open_engine(f"sqlite:///{self.database}")
        engine = self.engine
        await migrate(engine)
        app = build(Config(cycle=Cycle(every_minutes=0)), self.runtime, engine)
        async with app.lifespan():
            self._app, self.up = app, True
            started.set()
            await self._over.wait()
        await engine.dispose()

    async def close(self) -> None:
        """End all processes, the dead ones too."""
        self.up = False
        self._over.set()
        await asyncio.gather(*self._lives)

    async def kill_and_start(self, random: Random) -> None:
        """Die at one of the next statements, also in the middle of a transaction; be away for a while, come back."""
        left = random.randrange(MOST_JOBS)
        died = asyncio.Event()
        database = str(self.database)

        def watch(file: str) -> None:
            nonlocal left
            if file == database and not died.is_set():
                left -= 1
                if left < 0:
                    self._die()
                    died.set()

        Inline.watch = staticmethod(watch)
        try:
            async with asyncio.timeout(40.0):
                await died.wait()
        except TimeoutError:
            self._die()
        finally:
            Inline.watch = staticmethod(lambda file: None)
        self.faults["headquarters killed"] += 1
        await asyncio.sleep(random.uniform(1.0, 25.0))
        await self.start()

    def _die(self) -> None:
        before = self.database
        self.up = False
        self.life += 1
        copy_as_killed(before, self.database)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not self.up:
            raise httpx.ConnectError("headquarters is down")
        life = self.life

        async def send_if_alive(message: Any) -> None:
            if self.life != life:
                raise httpx.ReadError("headquarters died")
            await send(message)

        try:
            await self._app(scope, receive, send_if_alive)
        except Exception:
            if self.life == life:
                raise
            raise httpx.ReadError("headquarters died") from None


Weather = Literal["well", "down", "no requests", "no answers", "slow", "cut", "storm"]


class Link(httpx.AsyncBaseTransport):
    """A gateway's way to headquarters. `weather` says how it is; a link of a dead process carries nothing."""

    def __init__(self, headquarters: Headquarters, random: Random) -> None:
        self.weather: Weather = "well"
        self.dead = False
        self.lost: Counter[str] = Counter()
        self._random = random
        self._inner = AsgiTransport(headquarters, self._latency, self._before, self._after)

    def _latency(self) -> float:
        slow = self.weather == "slow" and self._random.random() < 0.5
        return self._random.uniform(5.0, 40.0) if slow else self._random.uniform(0.005, 0.15)

    def _lose(self, what: str, error: Exception) -> None:
        self.lost[what] += 1
        raise error

    def _before(self, request: httpx.Request) -> None:
        lost = {"down": 1.0, "no requests": 0.7, "well": 0.02}.get(self.weather, 0.0)
        if self.dead or self._random.random() < lost:
            self._lose("requests lost", httpx.ConnectError("the link is down", request=request))

    def _after(self, request: httpx.Request) -> None:
        lost = {"down": 1.0, "no answers": 0.7, "well": 0.03}.get(self.weather, 0.0)
        if self.dead or self._random.random() < lost:
            self._lose("answers lost", httpx.ReadError("the answer was lost", request=request))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.weather == "storm" and self._random.random() < 0.9:
            self.lost["turned away"] += 1
            await asyncio.sleep(self._latency())
            status, after = self._random.choice((429, 503)), self._random.randint(1, 8)
            return httpx.Response(status, headers={"retry-after": str(after)}, content=b"later")
        begun = asyncio.get_running_loop().time()
        answer = await self._inner.handle_async_request(request)
        waits_s = request.extensions.get("timeout", {}).get("read") or 60.0
        if asyncio.get_running_loop().time() - begun > waits_s:
            await answer.aclose()
            self._lose("answers too late", httpx.ReadTimeout("no answer in time", request=request))
        if self.weather == "cut" and self._random.random() < 0.4:
            body = await answer.aread()
            self.lost["answers cut"] += 1
            if self._random.random() < 0.5:
                raise httpx.RemoteProtocolError("the connection was closed in mid-answer", request=request)
            headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
            return httpx.Response(answer.status_code, headers=headers, content=body[: len(body) // 2])
        return answer


class People(Office):
    """The people at headquarters: when it does not answer, they try again."""

    def __init__(self, headquarters: Headquarters, key: str) -> None:
        super().__init__(headquarters, key)
        self.headquarters = headquarters

    async def ask(self, method: str, path: str, content: object) -> Any:
        async def once() -> Any:
            life = self.headquarters.life
            answer = await super(People, self).ask(method, path, content)
            if life != self.headquarters.life:
                raise httpx.ReadError("headquarters died")
            return answer

        return await self._insist(once)

    async def correct(self, site: str, position: int, wanted: object) -> bool:
        """Ask for the correction of a movement; whether headquarters takes it: at most once, it says."""
        path = f"/sites/{site}/movements/{position}/correction"

        async def once() -> bool:
            life = self.headquarters.life
            answer = await self._client.post(path, content=msgspec.json.encode(wanted))
            if life != self.headquarters.life:
                raise httpx.ReadError("headquarters died")
            assert answer.status_code in (202, 409), answer.text
            return answer.status_code == 202

        return await self._insist(once)

    async def _insist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await attempt()
            except httpx.HTTPError:
                await asyncio.sleep(AGAIN_S)


async def open_people(headquarters: Headquarters) -> People:
    """The people, with a key of their own."""
    async with writing(headquarters.engine) as conn:
        role = accounts.role_of("owner")
        key = await accounts.make_key(conn, headquarters.runtime, "scenario", role, "", "", "scenario")
    return People(headquarters, key)


__all__ = ["URL", "Headquarters", "Link", "People", "Weather", "copy_as_killed", "open_people"]
