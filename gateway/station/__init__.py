"""What people at the site see: passages, exceptions, movements, devices."""
