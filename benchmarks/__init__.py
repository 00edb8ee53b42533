"""What is measured, one module per figure; each prints one line of JSON with seed, machine and command."""
