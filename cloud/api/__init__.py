"""The HQ API: /api/v1, its paging, its problem documents, and imports. READ FIRST: routes.py."""
