"""The doors of an emulated site as a trading partner's truck meets them: one pallet at a door at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Literal

from runtime import Runtime

#: Clock seconds between two pallets at one door: a passage takes 14 s from out of range to out of range.
_SPACING_US = 22_000_000
#: Clock seconds that an emulator may take to answer; it runs on the same machine.
_ANSWER_S = 10.0


class DockError(Exception):
    """The emulator could not be reached or refused; its sentence."""


class Dock:
    """Sends tagged pallets to the doors of one site through the emulator's control port."""

    def __init__(self, runtime: Runtime, control: str, doors: Sequence[str]) -> None:
        self._runtime = runtime
        self._host, _, port = control.rpartition(":")
        self._port = int(port)
        self._free = dict.fromkeys(doors, 0)

    async def send(self, direction: Literal["in", "out"], cases: Sequence[str], sscc: str | None = None) -> int:
        """Let a pallet (hex EPCs) pass the door that is free first; when it crosses, microseconds UTC. Raises DockError."""
        door = min(self._free, key=lambda name: self._free[name])
        now = self._runtime.now()
        starts = max(now, self._free[door])
        self._free[door] = starts + _SPACING_US
        order = {"door": door, "direction": direction, "cases": list(cases), "delay_s": (starts - now) / 1_000_000}
        if sscc is not None:
            order["sscc"] = sscc
        answer = await self._ask({"send": order})
        return int(str(answer["crossing_at"]))

    async def _ask(self, command: dict[str, object]) -> dict[str, object]:
        try:
            async with asyncio.timeout(_ANSWER_S):
                reader, writer = await asyncio.open_connection(self._host, self._port)
                try:
                    writer.write(json.dumps(command).encode() + b"\n")
                    answer = json.loads(await reader.readline())
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError) as error:
            raise DockError(f"the emulated site at {self._host}:{self._port} does not answer: {error}") from error
        if not answer.get("ok"):
            raise DockError(str(answer.get("error", answer)))
        return answer
