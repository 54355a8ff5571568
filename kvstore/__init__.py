"""A key-value store with single-leader replication and a configurable write quorum.

Three rooms, from below: ``core`` (the rules), ``node`` (greenlets, time and disk) and ``http``
(routes and transport). Above them ``app`` puts a node together from its settings. Below them all
are the bodies of the HTTP API, ``api_types``, which a client may import too.
"""

__version__ = "0.1.0"
