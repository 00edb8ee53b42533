"""Whether something keeps the system's clock right: the kernel's own answer."""

from __future__ import annotations

import ctypes
from pathlib import Path

#: adjtimex(2): the bit of `status` that says that nothing synchronises the clock, and the state it returns then.
STA_UNSYNC, TIME_ERROR = 0x0040, 5
#: systemd-timesyncd keeps this file while it is synchronised; looked at where the kernel cannot be asked.
TIMESYNC = Path("/run/systemd/timesync/synchronized")
#: Changes with every boot of the kernel.
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class _Timex(ctypes.Structure):
    """struct timex of the C library as far as `status`, and room for the rest (208 bytes on 64 bits, less on 32)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def clock_synchronised() -> bool:
    """Whether the kernel says that its clock is synchronised (adjtimex with no modes only reads)."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return TIMESYNC.exists()
    timex = _Timex()
    state = int(adjtimex(ctypes.byref(timex)))
    if state < 0:  # not allowed here
        return TIMESYNC.exists()
    return state != TIME_ERROR and not int(timex.status) & STA_UNSYNC


def boot_id() -> str:
    """A name of this boot of the system; "" where the system does not tell."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
