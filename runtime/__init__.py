"""Time, randomness and the outermost doors, passed in to everything that needs them.

Code of both programs uses plain asyncio and never asks the system for the time, a random number, a
thread or a socket: it asks the one `Runtime` that its composition root was given. A test gives it a
virtual one (`tests/virtual.py`) and the whole system runs in one process on virtual time.

`EVERCOUNT_CLOCK=start,factor` (ISO time, number) moves the wall clock to `start` and makes every timer of the
process run `factor` times faster; nothing outside this package knows.
"""

from runtime.clock import Clock, clock_from_environment, new_event_loop
from runtime.system import Runtime, SystemRuntime

__all__ = ["Clock", "Runtime", "SystemRuntime", "clock_from_environment", "new_event_loop"]
