"""The rows of a dead card as an epoch of their own; the branch that moved a unit last."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("epoch", sa.Column("salvaged", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("unit", sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("unit", "epoch")
    op.drop_column("epoch", "salvaged")
