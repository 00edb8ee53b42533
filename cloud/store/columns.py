"""Columns as headquarters' tables use them, alike on SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, LargeBinary, MetaData, Table, Text, false

#: Text is compared by its bytes on both engines: the same order everywhere, and no index depends on a system's locale.
TEXT = Text().with_variant(Text(collation="C"), "postgresql")

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"}  # same on both engines
)


def text_column(name: str, *, key: bool = False, default: str | None = "") -> Column[str]:
    if key:
        return Column(name, TEXT, primary_key=True)
    return Column(name, TEXT, nullable=default is None, server_default=default)


def int_column(name: str, *, key: bool = False, null: bool = False, default: int | None = 0) -> Column[int]:
    if key:
        return Column(name, BigInteger, primary_key=True, autoincrement=False)
    if null:
        return Column(name, BigInteger, nullable=True)
    return Column(name, BigInteger, nullable=False, server_default=None if default is None else str(default))


def flag_column(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=false())


def bytes_column(name: str, *, key: bool = False, null: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary, primary_key=key, nullable=null and not key)


def float_column(name: str, default: float | None = None) -> Column[float]:
    return Column(name, Float, nullable=default is None, server_default=None if default is None else str(default))


def keyed_table(name: str, *columns: Column[int] | Column[str] | Column[bool] | Column[bytes] | Column[float]) -> Table:
    """A table kept in the order of its key: on SQLite one b-tree, without a second one for a row id."""
    return Table(name, metadata, *columns, sqlite_with_rowid=False)
