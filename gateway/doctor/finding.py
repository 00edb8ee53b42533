"""What a look at one thing found."""

from __future__ import annotations

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the doctor's: `advice` says what to do, and is empty where nothing needs to be done."""

    check: str
    state: Literal["ok", "warn", "fail"]
    text: str
    advice: str = ""


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", text)


def warn(check: str, text: str, advice: str) -> Finding:
    """It works, and should be better."""
    return Finding(check, "warn", text, advice)


def fail(check: str, text: str, advice: str) -> Finding:
    """The gateway cannot do its work, or not for long."""
    return Finding(check, "fail", text, advice)
