"""Where metrics go: the samples, what carries them, and the services, one file each."""
