"""How a survey sees it: instrument, bandpasses, visits, noise, selection."""
