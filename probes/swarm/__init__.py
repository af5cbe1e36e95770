"""All that knows Locust: users, hooks, dispatcher, options, and what must be ready before it is imported."""
