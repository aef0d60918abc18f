"""One module per survey: which fields of its alerts are read, and their units."""
