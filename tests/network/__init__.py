"""Networks for tests and measurements: namespaces, and lines with delay and loss between them."""
