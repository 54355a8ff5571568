r"""The write load: a fixed number of writes, spread evenly over the keys; then it stops by itself.

Headless::

    locust --headless --host http://127.0.0.1:5000 --users 10 --spawn-rate 10 \
        --writes 10000 --keys 100 --write-quorum 2

In the browser (``locust --host http://127.0.0.1:5000``) the same options are fields of the form; a
run started there does the same, and can be started again and again.

The exit code is 0 only when every write of every run was sent and confirmed.
"""

import logging
import resource
import select
from pathlib import Path

import gevent
import locust.stats
import msgspec
import requests
from gevent import monkey
from geventhttpclient.connectionpool import ConnectionPool
from locust import FastHttpUser, constant, events, task
from locust.argument_parser import LocustArgumentParser
from locust.contrib.csv_request_logger import CsvRequestLogger
from locust.env import Environment
from locust.exception import StopTest, StopUser

from analysis.nodes.cluster_token import token_headers
from analysis.study.follower_lag import observe_lag
from analysis.study.write_plan import Write, WritePlan, why_not_confirmed
from kvstore.api_types import Status

logger = logging.getLogger("kvstore.load")

REQUEST_NAME = "/put/[key]"
ADMIN_TIMEOUT_S = 10.0
LAG_TIMEOUT_S = 5.0
ROWS_PER_FLUSH = 20
CSV_INTERVAL_S = 0.5
SPARE_DESCRIPTORS = 200


class Load:
    """The runs of this process, one after another, and what they have to do."""

    def __init__(self) -> None:
        self.plan: WritePlan | None = None
        self.write_quorum: int | None = None
        self.environment: Environment | None = None

    def begin(self, environment: Environment) -> None:
        """Start a run with a fresh plan, once the leader has accepted the write quorum.

        :raises StopTest: when the run cannot begin; the reason is logged and shown in the browser.
        """
        self.environment = environment
        options = environment.parsed_options
        assert options is not None
        self.plan = None
        try:
            self.write_quorum = int(options.write_quorum) if options.write_quorum else None
            plan = WritePlan(options.writes, options.keys, options.key_prefix, options.seed)
            require_descriptors(environment.runner.target_user_count if environment.runner else 0)
            if self.write_quorum is not None:
                set_quorum(environment.host, self.write_quorum)
        except (ValueError, requests.RequestException) as error:
            self.fail(f"cannot start the load: {error}")
            raise StopTest(f"cannot start the load: {error}") from None
        self.plan = plan

    def fail(self, reason: str) -> None:
        """Make the exit code non-zero and show the reason."""
        assert self.environment is not None
        logger.error(reason)
        self.environment.process_exit_code = 1
        if self.environment.runner is not None:
            self.environment.runner.log_exception("local", reason, "")

    def end(self) -> None:
        """Stop the run, once Locust's CSV has the last answer too."""
        environment = self.environment
        assert environment is not None
        assert environment.runner is not None
        assert environment.parsed_options is not None
        headless = environment.parsed_options.headless
        csv_delay_s = 1.5 * CSV_INTERVAL_S if environment.parsed_options.csv_prefix else 0
        # In a greenlet of its own, because stopping ends the greenlets of the users.
        gevent.spawn_later(
            csv_delay_s, environment.runner.quit if headless else environment.runner.stop
        )

    def judge(self) -> None:
        """At the end of a run, remember its failure beyond the next one.

        Locust's own counters, from which it makes its exit code, begin again with every run.
        """
        if self.environment is None:
            return
        if self.environment.stats.total.num_failures > 0:
            self.environment.process_exit_code = 1
        if self.plan is not None and not self.plan.is_complete:
            plan, self.plan = self.plan, None
            self.fail(f"stopped after {plan.answered} of {plan.writes} writes")


load = Load()


class Writer(FastHttpUser):
    """A client that writes, waits for the answer, and writes again, without a pause."""

    wait_time = constant(0)
    # One request at a time on one kept connection; a redirect would send the write a second time.
    concurrency = 1
    max_redirects = 0

    @task
    def write(self) -> None:
        """Send one write of the plan, or leave when there is none left."""
        plan = load.plan
        write = plan.take() if plan is not None else None
        if plan is None or write is None:
            raise StopUser
        try:
            self._send(write)
        except Exception:
            # Locust counts it as an error and goes on. The write has ended, so the run can too.
            self._after_answer(plan)
            raise
        self._after_answer(plan)

    def _send(self, write: Write) -> None:
        # POST, not PUT: geventhttpclient silently repeats a PUT whose connection was lost. That
        # would hide an open outcome and add a write.
        with self.client.post(
            write.path, json={"value": write.value}, name=REQUEST_NAME, catch_response=True
        ) as response:
            problem = why_not_confirmed(
                response.status_code, response.content, write.key, load.write_quorum
            )
            if problem is not None:
                response.failure(problem)
            else:
                response.success()

    def _after_answer(self, plan: WritePlan) -> None:
        plan.answered += 1
        if plan.is_complete:
            self._save_lag()
            load.end()

    def _save_lag(self) -> None:
        options = self.environment.parsed_options
        assert options is not None
        if not options.lag_report:
            return
        try:
            observe_lag(self._fetch_status, LAG_TIMEOUT_S).save(Path(options.lag_report))
        except (OSError, ValueError) as error:
            load.fail(f"cannot tell the followers' lag: {error!r}")

    def _fetch_status(self) -> Status:
        # Below Locust's session, so that it is no request of the load; on the open connection, so
        # that as little time as possible passes after the last answer.
        with self.client.client.urlopen(f"{self.host}/status") as answer:
            return msgspec.json.decode(answer.content, type=Status)


def set_quorum(leader_url: str | None, write_quorum: int) -> None:
    """Set the leader's write quorum.

    :raises ValueError: when the leader refuses.
    :raises requests.RequestException: when it does not answer.
    """
    with requests.Session() as session:
        session.trust_env = False  # the load goes straight to the leader, without a proxy
        session.headers.update(token_headers())
        answer = session.post(
            f"{leader_url}/admin/set_quorum", json={"quorum": write_quorum}, timeout=ADMIN_TIMEOUT_S
        )
    if answer.status_code != 200:
        raise ValueError(
            f"the leader refused write quorum {write_quorum}: "
            f"HTTP {answer.status_code} {answer.text.strip()[:200]}"
        )


def raise_descriptor_limit() -> None:
    """Allow as many open sockets as the machine does; every user has one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def require_descriptors(users: int) -> None:
    """Refuse more users than there can be sockets.

    :raises ValueError: when the process may not open so many files.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and users + SPARE_DESCRIPTORS > limit:
        raise ValueError(f"{users} users need more open files than the limit of {limit}")


def _is_socket_alive(_pool: ConnectionPool, sock: gevent.socket.socket | None) -> bool:
    if sock is None or sock.fileno() < 0:
        return False
    poll = monkey.get_original("select", "poll")()
    poll.register(sock.fileno(), select.POLLIN)
    return not poll.poll(0)


# geventhttpclient asks select() whether a kept connection is still open, and select() cannot look
# at descriptors above 1023: from there on every request would open a new connection.
ConnectionPool._is_socket_alive = _is_socket_alive  # type: ignore[assignment, method-assign]
raise_descriptor_limit()
# Locust does not bring its CSV up to date when it ends.
locust.stats.CSV_STATS_INTERVAL_SEC = CSV_INTERVAL_S  # type: ignore[assignment]
locust.stats.CSV_STATS_FLUSH_INTERVAL_SEC = 0


def add_options(parser: LocustArgumentParser) -> None:
    """Add this load's options, on the command line and in the browser's form.

    :raises SystemExit: when several processes are asked for.
    """
    add = parser.add_argument
    add("--writes", type=int, default=10_000, help="Writes in all, over all users")
    add("--keys", type=int, default=100, help="Keys the writes are spread over evenly")
    add("--write-quorum", default="", help="Write quorum to set first; empty = leave it as it is")
    add("--key-prefix", default="load-", help="What every key begins with")
    add("--seed", type=int, default=1, help="Seed of the order of the keys")
    add("--request-log", default="", include_in_web_ui=False, help="CSV of every request")
    add("--lag-report", default="", include_in_web_ui=False, help="JSON of the followers' lag")
    # Refused before Locust forks: a master that ends while its workers start may wait for them
    # forever.
    options, _ = parser.parse_known_args()
    if options.processes or options.master or options.worker:
        raise SystemExit(
            "this load counts its writes in one process: no --processes, --master or --worker"
        )


def on_init(environment: Environment, **_: object) -> None:
    """Open the log of requests."""
    options = environment.parsed_options
    assert options is not None
    if options.request_log:
        CsvRequestLogger(options.request_log, flush_interval=ROWS_PER_FLUSH).register(environment)


def on_test_start(environment: Environment, **_: object) -> None:
    """Begin a run, headless or from the browser."""
    load.begin(environment)


def on_test_stop(**_: object) -> None:
    """Judge a run that has ended by itself or was stopped."""
    load.judge()


def on_quitting(**_: object) -> None:
    """Judge a run that is cut off by the end of the process."""
    load.judge()


for hook, listener in (
    (events.init_command_line_parser, add_options),
    (events.init, on_init),
    (events.test_start, on_test_start),
    (events.test_stop, on_test_stop),
    (events.quitting, on_quitting),
):
    hook.add_listener(listener)  # type: ignore[no-untyped-call]
