"""`make bench-alerts`: how often a healthy target is called ill, and how soon an outage is told of."""
