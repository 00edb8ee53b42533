"""Headquarters' error tree: a subclass only where the caller acts differently."""

from __future__ import annotations


class CloudError(Exception):
    """Something a person or a program asked for cannot be done; the text is one clear sentence."""


class BadInputError(CloudError):
    """What was sent cannot be used as it is: the sender must change it."""


class NotFoundError(CloudError):
    """There is no such thing, or the caller may not know of it."""


class ConflictError(CloudError):
    """The present state does not allow it; look again and decide anew."""


class DeniedError(CloudError):
    """The caller is known and may not do this."""


class UnauthorizedError(CloudError):
    """The caller is not known: no valid session, key or signature."""


class TooLargeError(CloudError):
    """A body or batch is beyond its bound."""


class BusyError(CloudError):
    """A bounded resource is in use; try again after `retry_after` seconds."""

    def __init__(self, text: str, retry_after: int = 1) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class RateLimitedError(BusyError):
    """The caller asks more often than it may."""
