"""Local nodes, and a client for the API of any node."""
