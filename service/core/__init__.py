"""What the service knows about alerts, light curves and classes. No I/O, no clock, no settings."""
