"""Configuration: what is probed, within which limits, and how sure the plan is to fit."""
