"""How the gateway does, for headquarters, for Prometheus and for the people at the site."""
