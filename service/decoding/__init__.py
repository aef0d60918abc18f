"""From message bytes to an alert batch: framing, schemas, one module per survey."""
