"""Bringing the database to this version's tables, by Alembic's numbered migrations."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from cloud.errors import ConflictError
from cloud.store.database import reading, writing

_MIGRATIONS = Path(__file__).parent / "migrations"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


async def migrate(engine: AsyncEngine) -> str:
    """Bring the database to the newest version, in one transaction; returns that version."""
    async with writing(engine) as conn:
        await conn.run_sync(lambda connection: command.upgrade(_config(connection), "head"))
    return newest()


async def downgrade(engine: AsyncEngine, version: str) -> None:
    """Take the database back to `version`, in one transaction; "base" leaves nothing but Alembic's own table."""
    async with writing(engine) as conn:
        await conn.run_sync(lambda connection: command.downgrade(_config(connection), version))


def newest() -> str:
    """The version that this program needs."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


async def check_version(engine: AsyncEngine) -> None:
    """Raises ConflictError where the database has another version than this program needs."""
    async with reading(engine) as conn:
        found = await conn.run_sync(lambda connection: MigrationContext.configure(connection).get_current_revision())
    if found != newest():
        raise ConflictError(
            f"the database has version {found or 'none'}, this program needs {newest()}; run: evercount-cloud migrate"
        )
