"""LLRP status codes and the error that a bad request becomes."""

from __future__ import annotations

from enum import IntEnum

from gateway.errors import GatewayError


class StatusCode(IntEnum):
    """Status codes of LLRP 1.0.1 section 15.2.1 (M = message, P = parameter, A = value, R = reader)."""

    SUCCESS = 0
    M_PARAMETER_ERROR = 100
    M_FIELD_ERROR = 101
    M_UNEXPECTED_PARAMETER = 102
    M_MISSING_PARAMETER = 103
    M_OVERFLOW_PARAMETER = 105
    M_UNKNOWN_PARAMETER = 107
    M_UNSUPPORTED_MESSAGE = 109
    M_UNSUPPORTED_VERSION = 110
    M_UNSUPPORTED_PARAMETER = 111
    P_PARAMETER_ERROR = 200
    P_FIELD_ERROR = 201
    P_UNEXPECTED_PARAMETER = 202
    P_MISSING_PARAMETER = 203
    P_DUPLICATE_PARAMETER = 204
    P_OVERFLOW_PARAMETER = 205
    P_UNKNOWN_PARAMETER = 207
    P_UNSUPPORTED_PARAMETER = 209
    A_INVALID = 300
    A_OUT_OF_RANGE = 301
    R_DEVICE_ERROR = 401


class RequestError(GatewayError):
    """A request that the reader answers with an LLRPStatus other than success.

    `path` holds the parameter numbers from the message inwards to the one at fault, empty for a fault of the
    message itself; `field` the 0-based number of the field at fault, None when a parameter is at fault.
    """

    def __init__(
        self, code: StatusCode, description: str, path: tuple[int, ...] = (), field: int | None = None
    ) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.path = path
        self.field = field

    def inside(self, number: int) -> RequestError:
        """The same fault seen from one parameter further out."""
        return RequestError(self.code, self.description, (number, *self.path), self.field)
