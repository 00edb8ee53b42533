"""What decisions about a site rest on, read from the store: settings, demand, what moves it, terms, stock, limits."""
