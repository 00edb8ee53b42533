"""Headquarters' pages: tables and forms that work without a script, livelier with one. READ FIRST: routes.py."""
