"""Alembic's entry: runs the migrations on the connection that `cloud.store.migrate` gives it."""

from __future__ import annotations

from alembic import context

from cloud.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
