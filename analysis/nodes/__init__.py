"""Local nodes, and what any node says of itself."""
