"""Tables of the people and programs that may speak to headquarters, and of what they did."""

from __future__ import annotations

from cloud.store.columns import bytes_column, int_column, keyed_table, text_column

#: `password_hash` argon2id, "" while the person signs in by link only.
user = keyed_table(
    "app_user",
    text_column("id", key=True),
    text_column("name"),
    text_column("password_hash"),
    int_column("created_at"),
    int_column("disabled_at", null=True),
)

#: `site_id` "" = every site.
user_role = keyed_table(
    "user_role", text_column("user_id", key=True), text_column("site_id", key=True), text_column("role")
)
session = keyed_table(
    "session",
    bytes_column("token_hash", key=True),
    text_column("user_id"),
    int_column("created_at"),
    int_column("seen_at"),
    int_column("expires_at"),
)
sign_in_link = keyed_table(
    "sign_in_link",
    bytes_column("token_hash", key=True),
    text_column("user_id"),
    int_column("expires_at"),
    int_column("used_at", null=True),
)

#: `prefix` is shown to people; `role` one of the user roles, or `partner` with the supplier or customer it is limited to.
api_key = keyed_table(
    "api_key",
    bytes_column("key_hash", key=True),
    text_column("prefix"),
    text_column("name"),
    text_column("site_id"),
    text_column("role"),
    text_column("partner"),
    text_column("created_by"),
    int_column("created_at"),
    int_column("used_at"),
    int_column("revoked_at", null=True),
)

#: Who did what, chained: hash = SHA-256(previous hash || at, actor, action, subject, detail as JSON).
audit = keyed_table(
    "audit",
    int_column("n", key=True),
    int_column("at"),
    text_column("actor"),
    text_column("action"),
    text_column("site_id"),
    text_column("subject"),
    text_column("detail"),
    bytes_column("hash"),
)
meta = keyed_table("meta", text_column("key", key=True), text_column("value"))
