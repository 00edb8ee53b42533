"""The branches of a site's ledger as headquarters holds them: where each stands, and which grew from which."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import BadInputError
from cloud.ingest.batch import Batch, epoch_of, hash_of
from cloud.store import schema
from vocabulary.chain import genesis
from vocabulary.wire import Conflict, Head


@dataclass(slots=True)
class Branch:
    """An epoch's head here, and the row from which it grew. `left`: rows of its parent behind that one, told once, when it
    was made. `salvaged`: a dead card's rows, kept without effect."""

    epoch: int
    seq: int
    hash: bytes
    left: int = 0
    salvaged: bool = False
    parent_epoch: str = ""
    parent_seq: int = 0


async def find_branch(conn: AsyncConnection, site_id: str, epoch: int) -> Branch | None:
    """The head of `epoch`, or None when nothing of it has arrived."""
    e = schema.epoch.c
    columns = (e.seq, e.hash, e.salvaged, e.parent_epoch, e.parent_seq)
    row = (await conn.execute(select(*columns).where(e.site_id == site_id, e.epoch == epoch))).first()
    if row is None:
        return None
    return Branch(epoch, row.seq, row.hash, 0, row.salvaged, row.parent_epoch, row.parent_seq)


async def open_branch(conn: AsyncConnection, batch: Batch, now: int, *, salvaged: bool = False) -> Branch | Conflict:
    """The branch that a push continues, made on its first push: a new ledger, or one that grew from a row that is here.

    Raises BadInputError where rows that count and a salvaged card's would stand in one epoch.
    """
    site_id, epoch, header = batch.header.site, batch.epoch, batch.header
    known = await find_branch(conn, site_id, epoch)
    if known is not None:
        if known.salvaged != salvaged:
            kept = "keeps the rows of a salvaged card" if known.salvaged else "is a ledger whose rows count"
            raise BadInputError(f"epoch {epoch} {kept}; nothing else can be added to it")
        return known
    branch = Branch(epoch, 0, genesis(epoch), salvaged=salvaged)
    parent_epoch, parent_seq, parent_hash = "", 0, b""
    if header.parent is not None:
        parent_epoch, parent_seq, text = header.parent
        parent_hash = hash_of(text, "the parent's hash")
        held = await hash_at(conn, site_id, epoch_of(parent_epoch), parent_seq)
        if held != parent_hash:
            trunk = await find_branch(conn, site_id, epoch_of(parent_epoch))
            return Conflict(
                "fork",
                f"row {parent_seq} of epoch {parent_epoch}, from which this one grows, is not here",
                409,
                trunk.seq + 1 if trunk else 1,
                trunk.hash.hex() if trunk else genesis(epoch_of(parent_epoch)).hex(),
            )
        branch.seq, branch.hash = parent_seq, parent_hash
        branch.parent_epoch, branch.parent_seq = parent_epoch, parent_seq
        trunk = await find_branch(conn, site_id, epoch_of(parent_epoch))
        branch.left = max(0, trunk.seq - parent_seq) if trunk and not salvaged else 0
    e = schema.epoch.c
    ordinal = (await conn.execute(select(func.count()).where(e.site_id == site_id))).scalar_one() + 1
    await conn.execute(
        schema.epoch.insert().values(
            site_id=site_id,
            epoch=epoch,
            ordinal=ordinal,
            gateway=header.gateway,
            seq=branch.seq,
            hash=branch.hash,
            parent_epoch=parent_epoch,
            parent_seq=parent_seq,
            parent_hash=parent_hash or None,
            first_at=now,
            last_at=now,
            salvaged=salvaged,
        )
    )
    return branch


async def fits(conn: AsyncConnection, batch: Batch, branch: Branch) -> Conflict | None:
    """Why the batch does not continue or repeat the branch; None when it does."""
    first, site_id = batch.header.first_seq, batch.header.site
    expected = (branch.seq + 1, branch.hash.hex())
    if first > branch.seq + 1:
        return Conflict("gap", "rows before these are missing", 409, *expected)
    before = branch.hash if first == branch.seq + 1 else await hash_at(conn, site_id, branch.epoch, first - 1)
    if before != batch.prev_hash:
        return Conflict("fork", "the row before these differs from the one that is here", 409, *expected)
    shared = min(batch.last_seq, branch.seq)
    if shared >= first:
        known = await hash_at(conn, site_id, branch.epoch, shared)
        if known != batch.hashes[shared - first]:
            return Conflict("fork", "a row differs from the one that is here", 409, *expected)
    return None


async def repeated(conn: AsyncConnection, batch: Batch, branch: Branch) -> frozenset[int]:
    """The rows of a push, by seq, that its epoch's parent holds behind the row from which the epoch grew: the same movement or
    count, byte for byte, which a gateway recorded again without knowing that it had arrived here already.

    What is recorded again comes first in an epoch, so it stands no further on than the parent reached.
    """
    if not branch.parent_epoch:
        return frozenset()
    site_id, parent = batch.header.site, epoch_of(branch.parent_epoch)
    trunk = await find_branch(conn, site_id, parent)
    if trunk is None or trunk.seq <= branch.parent_seq or batch.header.first_seq > trunk.seq:
        return frozenset()
    row = schema.ledger.c
    left = select(row.body).where(
        row.site_id == site_id, row.epoch == parent, row.seq > branch.parent_seq, row.kind.in_(("movement", "count"))
    )
    known = set((await conn.execute(left)).scalars())
    return frozenset(seq for seq, body in enumerate(batch.bodies, batch.header.first_seq) if body in known)


async def hash_at(conn: AsyncConnection, site_id: str, epoch: int, seq: int) -> bytes | None:
    """The hash of row `seq` along the branch `epoch` (0 = its genesis), looked up in its parents too; None if not here."""
    e, row = schema.epoch.c, schema.ledger.c
    while True:
        if seq == 0:
            return genesis(epoch)
        found = await conn.execute(select(row.hash).where(row.site_id == site_id, row.epoch == epoch, row.seq == seq))
        if (value := found.scalar_one_or_none()) is not None:
            return value
        parent = (
            await conn.execute(select(e.parent_epoch, e.parent_seq).where(e.site_id == site_id, e.epoch == epoch))
        ).first()
        if parent is None or not parent.parent_epoch or seq > parent.parent_seq:
            return None
        epoch = epoch_of(parent.parent_epoch)


async def read_head(conn: AsyncConnection, site_id: str, epoch: int, seq: int | None) -> Head:
    """The head of `epoch` (seq 0 and the genesis hash when nothing arrived) and the hash at `seq`, "" when it is not here."""
    branch = await find_branch(conn, site_id, epoch) or Branch(epoch, 0, genesis(epoch))
    at = await hash_at(conn, site_id, epoch, seq) if seq is not None and 0 <= seq <= branch.seq else None
    return Head(str(epoch), branch.seq, branch.hash.hex(), at.hex() if at else "")
