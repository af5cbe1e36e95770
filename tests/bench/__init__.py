"""`make bench`: what the project promises of speed, memory and exactness, measured against peers. Not run by pytest."""
