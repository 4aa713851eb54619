"""What the rooms stand on; no notebook imports it."""
