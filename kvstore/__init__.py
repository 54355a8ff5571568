"""A key-value store with single-leader replication and a configurable write quorum.

The modules read bottom-up as layers; each imports only from the layers below it
(``tests/unit/test_layers.py`` enforces the direction and holds the list).
"""
