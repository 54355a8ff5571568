"""HTTP on both sides: what is asked of this node, and what a leader asks of its followers.

``operations`` is the table of all routes and their bodies. They are served by ``client_routes``
(keys), ``admin_routes`` (operators), ``status_routes`` (health and status) and
``replication_routes`` (the leader's messages), with the help of ``access``, ``request_parts`` and
``responses``. A leader sends its messages by ``http_transport``; ``worker`` is gunicorn's.
"""
