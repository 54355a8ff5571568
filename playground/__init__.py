"""A live page on a real cluster: see it, and break it."""
