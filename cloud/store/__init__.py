"""The database: tables, opening it, fast lanes into it, migrations, and the audit log."""
