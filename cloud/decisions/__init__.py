"""What should be done about what is foreseen: replenishment. Pure functions over values."""
