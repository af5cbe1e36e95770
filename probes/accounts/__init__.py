"""Test accounts: which there are, what logs them in, and which session is still open."""
