"""The one check that text passes where it enters: canonical bytes allow no U+0000 and no lone surrogate."""

from __future__ import annotations


def fault_in(text: str, limit: int = 500) -> str | None:
    """Why `text` may not be stored, as the end of a sentence; None when it may. `limit` is in characters."""
    if len(text) > limit:
        return f"is {len(text)} characters long; at most {limit} are allowed"
    if "\x00" in text:
        return "contains the character U+0000"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "contains half of a surrogate pair and is no valid Unicode text"
    return None
