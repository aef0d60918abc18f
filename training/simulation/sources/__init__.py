"""What shines: classes, populations, luminosities, spectra, dust, distances."""
