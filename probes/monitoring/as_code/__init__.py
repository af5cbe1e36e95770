"""Dashboards and monitors as code: what a monitoring service shall have, in its own words, and its API to see to it."""
