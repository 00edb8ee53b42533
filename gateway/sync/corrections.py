"""A correction from headquarters, done at most once: of rows of this ledger, or of another ledger of this site."""

from __future__ import annotations

from gateway.errors import PostingError
from gateway.ledger.file import LedgerFile
from gateway.ledger.posting.relink import ELSEWHERE
from gateway.ledger.writer import LedgerWriter
from gateway.transactions.intents import AnyIntent, Corrected, Origin, Recorded
from vocabulary.records import CommandResult
from vocabulary.wire import CorrectMovement


async def correction_of(writer: LedgerWriter, order: CorrectMovement, now: int) -> tuple[AnyIntent, ...]:
    """What `order` asks for at `now` (microseconds UTC), to be submitted in one commit.

    A row of another ledger has no row here that could say that it was taken back: a mark says it, the result of a command of
    that name. Raises PostingError where it is there already, or where the rows are not here and do not come along.
    """
    own = await writer.perform(lambda file: is_own(file, order.epoch, order.group))
    intent = Corrected(
        occurred_at=now,
        origin=Origin(actor=order.actor),
        group=order.group if own else ELSEWHERE,
        reason=order.reason,
        replacement=order.replacement,
        original=order.original,
        rows=order.rows,
    )
    if own:
        return (intent,)
    if not order.original:
        raise PostingError(f"Row {order.group} of epoch {order.epoch} is not in this ledger; nothing was corrected.")
    marks = [f"correction/{order.epoch}/{seq}" for seq in order.rows or (order.group,)]
    for mark in marks:
        if await writer.was_executed(mark):
            raise PostingError(
                f"The event of row {order.group} of epoch {order.epoch} was taken back already; a row is reversed at most once."
            )
    return (intent, *(Recorded(occurred_at=now, record=CommandResult(mark, now, "done")) for mark in marks))


def is_own(file: LedgerFile, epoch: str, seq: int) -> bool:
    """Whether row `seq` of `epoch` is a row of this ledger: of its present epoch, or of one it grew from behind that row."""
    if not epoch:
        return True
    branches: list[tuple[int, int]] = file.connection.execute(
        "SELECT epoch, parent_seq FROM branch ORDER BY number"
    ).fetchall()
    names = [str(name) for name, _ in branches]
    return epoch in names and all(seq <= left for _, left in branches[names.index(epoch) + 1 :])
