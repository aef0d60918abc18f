"""The records that the service publishes: encoding them, and reading them back."""
