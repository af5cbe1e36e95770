"""The stand-in target: a real HTTP server with real sessions, limits and a ledger, which misbehaves on demand."""
