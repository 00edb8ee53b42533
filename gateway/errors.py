"""The tree of the gateway's errors: a subclass exists only where the caller acts differently.

GatewayError
|-- LedgerUnavailableError   the ledger cannot be read or written now: nothing was recorded, try again
|-- LedgerDamagedError       the ledger's file is not what was written, and no program can put it right
|   `-- LedgerCorruptError   rows or pages of it are damaged: move it aside, recover what can be read, alarm
|-- PostingError             this intent can never be posted: tell who asked, go on with the next
|-- LinkDownError            headquarters cannot be reached: wait and try again, for ever
|-- NotEnrolledError         there is no enrolment yet: only local work is possible
`-- EnrolmentError           headquarters did not accept the code: ask for a new one
"""

from __future__ import annotations


class GatewayError(Exception):
    """Something the gateway was asked to do cannot be done; the message is one sentence for a person."""


class LedgerUnavailableError(GatewayError):
    """The ledger cannot be opened, read or written now; what was submitted is not recorded."""


class LedgerDamagedError(GatewayError):
    """The ledger's file does not hold what was written to it, or belongs to a newer version."""


class LedgerCorruptError(LedgerDamagedError):
    """Pages or rows of the ledger's file were damaged; `gateway.ledger.recovery` makes a sound one of the rest."""


class PostingError(GatewayError):
    """An intent that can never be posted; the message says why, for the person or program that asked for it."""


class LinkDownError(GatewayError):
    """Headquarters cannot be reached now, or did not answer in time."""


class NotEnrolledError(GatewayError):
    """The gateway has no site yet: `evercount-gateway enrol` comes first."""


class EnrolmentError(GatewayError):
    """Headquarters did not accept the enrolment code."""
