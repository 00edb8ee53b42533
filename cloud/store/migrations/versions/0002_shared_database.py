"""Several processes on one database, and several that speak for one gateway; long advisories; text by its bytes on PostgreSQL."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "change_count",
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("commits", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("site_id", name=op.f("pk_change_count")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), server_default="", nullable=False),
        sa.Column("renewed_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("expires_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "advisory_part",
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("part", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "part", name=op.f("pk_advisory_part")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "gateway_process",
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("spoke_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("returns", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("site_id", "gateway", "instance", name=op.f("pk_gateway_process")),
        sqlite_with_rowid=False,
    )
    _collate('"C"')


def downgrade() -> None:
    for table in ("gateway_process", "advisory_part", "lease", "change_count"):
        op.drop_table(table)
    _collate('"default"')


def _collate(collation: str) -> None:
    """Compare every text column by `collation`; one statement for each table, so that its indexes are built once."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    for table in sorted(set(sa.inspect(connection).get_table_names()) - {"alembic_version"}):
        columns = sa.inspect(connection).get_columns(table)
        texts = [column["name"] for column in columns if isinstance(column["type"], sa.Text)]
        changes = [f'ALTER COLUMN "{name}" TYPE text COLLATE {collation}' for name in texts]
        if changes:
            op.execute(f'ALTER TABLE "{table}" {", ".join(changes)}')
