"""One module per survey: the fields of its alerts and their conversion to common units."""
