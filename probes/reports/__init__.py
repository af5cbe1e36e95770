"""What a person or a machine reads of a run: terminal, JSON, JUnit, HTML and GitHub Actions."""
