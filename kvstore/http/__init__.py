"""HTTP on both sides: routes, bodies, the worker, and the transport between nodes."""
