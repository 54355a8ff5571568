"""Everything that can go wrong in a study, as one tree.

It is in the lowest room, because every room raises from it::

    StudyError
    ├── NodeError               a local node did not do what was asked of it
    ├── ClusterError            the given nodes are not one leader and all its followers
    ├── ResultsError            the data of a study is missing or damaged
    └── LoadError               a load did not end well
        ├── LagError            ... or does not tell how far behind the followers were
        ├── RequestLogError     ... or left no usable log of its requests
        └── TotalsError         ... or no totals of Locust's own
"""

from kvstore.client.errors import NodeUnavailableError


class StudyError(Exception):
    """A study, or a part of it, has failed; the message says how, for people."""


class NodeError(StudyError):
    """A local node did not do what was asked of it; the message holds the tail of its log."""


class ClusterError(StudyError):
    """The given nodes are not one leader and all its followers."""


class ResultsError(StudyError):
    """The data of a study is missing or damaged."""


class LoadError(StudyError):
    """The load did not end well; the message says where its log is."""


class LagError(LoadError):
    """The followers' lag could not be determined."""


class RequestLogError(LoadError):
    """A log of requests is missing, damaged or empty."""


class TotalsError(LoadError):
    """Locust's CSV of totals is missing or damaged."""


FAILURES = (StudyError, NodeUnavailableError)
"""What ends a study, a benchmark, or a part of them."""
