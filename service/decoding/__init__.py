"""From message bytes to a batch of alerts."""
