"""Movements become fact: an append-only, hash-chained file with one writer, which is also the outbox.

Read `posting` (what an intent amounts to), then `writer` (who may write, and when it is done), then `store` (who may read).
"""
