"""Who may speak to headquarters and what they may do: people with roles, sessions and links, programs with API keys."""
