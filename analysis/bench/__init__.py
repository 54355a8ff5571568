"""The benchmark: the service beside a bare Flask view and a plain design, and how it scales."""
