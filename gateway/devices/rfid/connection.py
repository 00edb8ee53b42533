"""When to try again, and what to tell the person who stands before a reader that does not answer."""

from __future__ import annotations

import random
import ssl

from gateway.devices.rfid.config import ReaderConfig
from gateway.devices.rfid.errors import LlrpError

#: Seconds; the longest wait bounds how late a repaired reader is noticed.
MAX_WAIT = 30.0
#: Seconds; a connection must have lasted this long to count as a success, else a reader that accepts and drops us at
#: once would be called every second for ever.
STEADY = 30.0
#: Seconds to wait for a TCP connection and for the reader's first word on it.
CONNECT_TIMEOUT = 5.0


class Backoff:
    """Waits of 1, 2, 4 to 30 s with full jitter, for ever; the generator decides the jitter."""

    def __init__(self, generator: random.Random) -> None:
        self._generator = generator
        self._ceiling = 1.0

    def succeeded(self) -> None:
        """Start again at one second."""
        self._ceiling = 1.0

    def next_wait(self) -> float:
        """Seconds to wait before the next attempt."""
        ceiling = self._ceiling
        self._ceiling = min(MAX_WAIT, ceiling * 2)
        # Never zero: a site's readers must not all be called in a closed loop.
        return max(0.1, self._generator.uniform(0, ceiling))


def tls_context(config: ReaderConfig) -> ssl.SSLContext | None:
    """The TLS settings for a reader, None without TLS. Raises LlrpError when the certificate file cannot be used."""
    if not config.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=config.certificate)
    except (OSError, ssl.SSLError) as error:
        raise LlrpError(
            f"{config.name}: certificate {config.certificate} cannot be used ({error}); give a PEM file"
        ) from None
    # A certificate named in the configuration is itself the identity; readers' certificates seldom name their address.
    context.check_hostname = config.certificate is None
    return context


def explain(config: ReaderConfig, error: Exception) -> str:
    """One sentence for a person: what went wrong and what to look at."""
    where = f"{config.host}:{config.port}"
    if isinstance(error, LlrpError):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"no answer from {where} within {CONNECT_TIMEOUT:g} s; check address, cable and power"
    if isinstance(error, ConnectionRefusedError):
        return (
            f"{where} refuses the connection: LLRP is off or another port is used "
            "(an Impinj R700 has LLRP off until its RFID interface is set to LLRP)"
        )
    if isinstance(error, ssl.SSLError):
        hint = "" if config.certificate else "; name the reader's certificate in the configuration"
        return f"TLS with {where} failed ({error.reason or error}){hint}"
    return f"{where} cannot be reached: {error.__class__.__name__}: {error}"


def closed_early(config: ReaderConfig) -> str:
    """The reader took the connection and closed it without a word."""
    return (
        f"{config.host}:{config.port} accepts the connection and closes it at once: another client may be connected, "
        "or it is not an LLRP port"
    )
