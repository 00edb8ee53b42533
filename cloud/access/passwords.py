"""Passwords: argon2id on a thread of its own, few at a time, because each takes 64 MiB and a good part of a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from cloud.errors import BadInputError, BusyError
from runtime import Runtime

T = TypeVar("T")

#: Characters of a password: long beats complicated; the upper bound keeps hashing bounded.
SHORTEST, LONGEST = 12, 200
#: Checks that may wait for their turn; more are refused, so that sign-in cannot be used to fill the memory.
WAITING = 16


class Passwords:
    """Hashes and checks passwords, one at a time; counts what it refused."""

    def __init__(self, runtime: Runtime, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._executor = runtime.executor("passwords")
        self._turn = asyncio.Lock()
        self._waiting = 0
        self.refused = 0
        self._decoy = ""

    async def hash(self, password: str) -> str:
        """The argon2id hash of a new password. Raises BadInputError when it is too short or too long."""
        if not SHORTEST <= len(password) <= LONGEST:
            raise BadInputError(f"the password needs {SHORTEST} to {LONGEST} characters")
        return await self._run(lambda: self._hasher.hash(password))

    async def check(self, stored: str, password: str) -> bool:
        """Whether `password` is the one behind `stored`; as slow for a person who has none ("") as for others."""
        if not stored:
            self._decoy = self._decoy or await self._run(lambda: self._hasher.hash("no such person"))
        return await self._run(lambda: self._verify(stored or self._decoy, password[:LONGEST])) and bool(stored)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, job: Callable[[], T]) -> T:
        if self._waiting >= WAITING:
            self.refused += 1
            raise BusyError("too many people sign in at once; try again in a moment", 2)
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.get_running_loop().run_in_executor(self._executor, job)
        finally:
            self._waiting -= 1
