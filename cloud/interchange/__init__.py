"""How headquarters speaks with trading partners: purchase orders as JSON, CSV and PDF, sent as signed webhooks."""
