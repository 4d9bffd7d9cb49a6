"""What only GitHub knows: workflow commands, events, the API."""
