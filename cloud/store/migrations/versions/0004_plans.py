"""What people plan and allow, what goes out to suppliers, and what was studied."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "acknowledgement",
        sa.Column("site_id", TEXT, nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("actor", TEXT, server_default="", nullable=False),
        sa.Column("state", TEXT, server_default="", nullable=False),
        sa.Column("text", TEXT, server_default="", nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "document", "n", name=op.f("pk_acknowledgement")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "approval",
        sa.Column("site_id", TEXT, nullable=False),
        sa.Column("recommendation", TEXT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("quantity", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reason", TEXT, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("site_id", "recommendation", "actor", name=op.f("pk_approval")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "autonomy",
        sa.Column("site_id", TEXT, nullable=False),
        sa.Column("category", TEXT, nullable=False),
        sa.Column("release_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("daily_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("least_confidence", sa.BigInteger(), server_default="900", nullable=False),
        sa.Column("most_cover_days", sa.BigInteger(), server_default="60", nullable=False),
        sa.Column("four_eyes_minor", sa.BigInteger(), nullable=True),
        sa.Column("service_floor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("currency", TEXT, server_default="EUR", nullable=False),
        sa.PrimaryKeyConstraint("site_id", "category", name=op.f("pk_autonomy")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bulk_order",
        sa.Column("site_id", TEXT, nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.Column("line", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("actor", TEXT, server_default="", nullable=False),
        sa.Column("reason", TEXT, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("site_id", "document", "line", name=op.f("pk_bulk_order")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "campaign",
        sa.Column("site_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("item", TEXT, nullable=False),
        sa.Column("name", TEXT, server_default="", nullable=False),
        sa.Column("first_day", TEXT, server_default="", nullable=False),
        sa.Column("last_day", TEXT, server_default="", nullable=False),
        sa.Column("uplift", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("planned_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("site_id", "id", "item", name=op.f("pk_campaign")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "demand_history",
        sa.Column("site_id", TEXT, nullable=False),
        sa.Column("item", TEXT, nullable=False),
        sa.Column("day", TEXT, nullable=False),
        sa.Column("quantity", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("empty", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "item", "day", name=op.f("pk_demand_history")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "indicator",
        sa.Column("site_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("item", TEXT, nullable=False),
        sa.Column("day", TEXT, nullable=False),
        sa.Column("value", sa.Float(), server_default="0.0", nullable=False),
        sa.Column("known_until", TEXT, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("site_id", "name", "item", "day", name=op.f("pk_indicator")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "price_break",
        sa.Column("site_id", TEXT, nullable=False),
        sa.Column("item", TEXT, nullable=False),
        sa.Column("supplier", TEXT, nullable=False),
        sa.Column("quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("price_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("site_id", "item", "supplier", "quantity", name=op.f("pk_price_break")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "price_plan",
        sa.Column("site_id", TEXT, nullable=False),
        sa.Column("item", TEXT, nullable=False),
        sa.Column("day", TEXT, nullable=False),
        sa.Column("price_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("currency", TEXT, server_default="EUR", nullable=False),
        sa.Column("planned_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("site_id", "item", "day", name=op.f("pk_price_plan")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "purchase_message",
        sa.Column("site_id", TEXT, nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("supplier", TEXT, server_default="", nullable=False),
        sa.Column("channel", TEXT, server_default="", nullable=False),
        sa.Column("state", TEXT, server_default="waiting", nullable=False),
        sa.Column("not_before", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("error", TEXT, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("site_id", "document", "revision", name=op.f("pk_purchase_message")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "stocking",
        sa.Column("site_id", TEXT, nullable=False),
        sa.Column("item", TEXT, nullable=False),
        sa.Column("display", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("service_floor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("most", sa.BigInteger(), nullable=True),
        sa.Column("fed_by", TEXT, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("site_id", "item", name=op.f("pk_stocking")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "study",
        sa.Column("site_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("started_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("actor", TEXT, server_default="", nullable=False),
        sa.Column("state", TEXT, server_default="", nullable=False),
        sa.Column("text", TEXT, server_default="", nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "kind", "started_at", name=op.f("pk_study")),
        sqlite_with_rowid=False,
    )
    op.add_column("document", sa.Column("arrived_at", sa.BigInteger(), nullable=True))
    op.add_column("item", sa.Column("shelf_life_days", sa.BigInteger(), nullable=True))
    op.add_column("item", sa.Column("volume_ml", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("item", sa.Column("successor", TEXT, server_default="", nullable=False))
    op.add_column("item", sa.Column("discontinued_on", TEXT, server_default="", nullable=False))
    op.add_column("item", sa.Column("like_item", TEXT, server_default="", nullable=False))
    op.add_column("site", sa.Column("value_share", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("site", sa.Column("country", TEXT, server_default="", nullable=False))
    op.add_column("site", sa.Column("budget_minor", sa.BigInteger(), nullable=True))
    op.add_column("site", sa.Column("capacity_l", sa.BigInteger(), nullable=True))
    op.add_column("site", sa.Column("undo_minutes", sa.BigInteger(), server_default="15", nullable=False))
    op.add_column("supplier", sa.Column("freight_free_minor", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("supplier", sa.Column("freight_minor", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("supplier", sa.Column("currency", TEXT, server_default="EUR", nullable=False))
    op.add_column("supplier", sa.Column("url", TEXT, server_default="", nullable=False))
    op.create_index(op.f("ix_purchase_message_state_not_before"), "purchase_message", ["state", "not_before"])
    op.create_index(op.f("ix_forecast_site_id_latest_item"), "forecast", ["site_id", "latest", "item"])


def downgrade() -> None:
    op.drop_index(op.f("ix_forecast_site_id_latest_item"), "forecast")
    op.drop_column("supplier", "url")
    op.drop_column("supplier", "currency")
    op.drop_column("supplier", "freight_minor")
    op.drop_column("supplier", "freight_free_minor")
    op.drop_column("site", "undo_minutes")
    op.drop_column("site", "capacity_l")
    op.drop_column("site", "budget_minor")
    op.drop_column("site", "country")
    op.drop_column("site", "value_share")
    op.drop_column("item", "like_item")
    op.drop_column("item", "discontinued_on")
    op.drop_column("item", "successor")
    op.drop_column("item", "volume_ml")
    op.drop_column("item", "shelf_life_days")
    op.drop_column("document", "arrived_at")
    op.drop_table("study")
    op.drop_table("stocking")
    op.drop_table("purchase_message")
    op.drop_table("price_plan")
    op.drop_table("price_break")
    op.drop_table("indicator")
    op.drop_table("demand_history")
    op.drop_table("campaign")
    op.drop_table("bulk_order")
    op.drop_table("autonomy")
    op.drop_table("approval")
    op.drop_table("acknowledgement")
