"""The recurrent network as the service runs it."""
