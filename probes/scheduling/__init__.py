"""What platforms are told of the schedule: one file for each platform that is rendered for."""
