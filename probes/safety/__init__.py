"""What keeps a probe harmless: the guard, the limits, permits and their ledger, and the redactor."""
