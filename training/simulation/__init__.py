"""Simulated ZTF and LSST light curves: populations, spectra, dust, cadence, noise, detection."""
