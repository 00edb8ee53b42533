"""What can go wrong between a reader and us."""

from __future__ import annotations

from gateway.errors import GatewayError


class LlrpError(GatewayError):
    """The reader cannot be used now; the message says why and, where we know, what to do about it."""


class FramingError(LlrpError):
    """The byte stream cannot be cut into messages any more: close it and connect again.

    `dropped` counts the bytes that were received and could not be used.
    """

    def __init__(self, message: str, dropped: int) -> None:
        super().__init__(message)
        self.dropped = dropped


class DamagedMessageError(LlrpError):
    """One message has an impossible inside; the stream around it is sound."""


class RefusedByReaderError(LlrpError):
    """The reader answered a request with an error status."""


class UnsatisfiableIntentError(LlrpError):
    """The configuration asks for something that this reader does not offer."""
