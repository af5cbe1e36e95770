"""smokeprobe: production smoke tests that never harm what they probe."""

__version__ = "0.1.0"
