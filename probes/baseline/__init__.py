"""Limits of time as the measured history suggests them, and the change of the configuration that would set them."""
