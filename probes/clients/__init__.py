"""How the target is reached: plain HTTP, and a real browser in a process of its own."""
