r"""The write load: a fixed number of writes, spread evenly over the keys; then it stops by itself.

Headless::

    locust --headless --host http://127.0.0.1:5000 --users 15 --spawn-rate 15 \
        --writes 10000 --keys 100 --write-quorum 2

In the browser (``locust --host http://127.0.0.1:5000``) the same options are fields of the form; a
run started there does the same, and can be started again and again.

With ``--master`` and any number of ``--worker`` processes, the workers share the writes: it is as
many in all. The exit code is 0 only when every write of every run was sent and confirmed.
"""

import logging
import resource
import select
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import locust.runners
import locust.stats
import msgspec
import requests
from gevent import monkey
from geventhttpclient.connectionpool import ConnectionPool
from locust import FastHttpUser, constant, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.exception import StopTest, StopUser
from locust.rpc import Message
from locust.runners import MasterRunner, WorkerRunner

from analysis.nodes.cluster_token import token_headers
from analysis.study.follower_lag import observe_lag
from analysis.study.load_run import LoadRun
from analysis.study.request_log import Request, RequestLogWriter
from analysis.study.write_plan import WHOLE, Share, Write, WritePlan, why_not_confirmed
from kvstore.api_types import Status, Written
from kvstore.client.errors import NodeUnavailableError
from kvstore.client.node_client import NodeClient

logger = logging.getLogger("kvstore.load")

REQUEST_NAME = "/put/[key]"
USERS = 15
ADMIN_TIMEOUT_S = 10.0
LAG_TIMEOUT_S = 5.0
CSV_INTERVAL_S = 0.2
LOST_CHECK_S = 0.5
SPARE_DESCRIPTORS = 200
SHARE, SHARE_ANSWERED = "kvstore_share", "kvstore_share_answered"
"""Messages: from the master to a worker, which share of the writes is its; and back, that all of it
was answered."""
REQUESTS = "kvstore_requests"
"""In a worker's report: every request since the last one."""


class Load:
    """The runs of this process, one after another, and what they have to do."""

    def __init__(self) -> None:
        self.plan: WritePlan | None = None
        self.write_quorum: int | None = None
        self.environment: Environment | None = None
        self.log: RequestLogWriter | None = None
        self.share = WHOLE
        self.waiting_for: set[str] = set()
        """On a master: the workers whose shares are not answered yet."""
        self.unreported: list[Request] = []
        """On a worker: the requests that the master does not know yet."""
        self.runs: list[LoadRun] = []

    def begin(self, environment: Environment) -> None:
        """Start a run with a fresh plan, once the leader has accepted the write quorum.

        :raises StopTest: when the run cannot begin; the reason is logged and shown in the browser.
        """
        self.environment = environment
        options, runner = environment.parsed_options, environment.runner
        assert options is not None
        self.plan = None
        try:
            self.write_quorum = int(options.write_quorum) if options.write_quorum else None
            plan = WritePlan(
                options.writes, options.keys, options.key_prefix, options.seed, self.share
            )
            if not isinstance(runner, WorkerRunner):
                require_descriptors(runner.target_user_count if runner else 0)
                if self.write_quorum is not None:
                    set_quorum(environment.host, self.write_quorum)
            if isinstance(runner, MasterRunner):
                self._share_out(runner)
        except (ValueError, OSError, requests.RequestException) as error:
            self.fail(f"cannot start the load: {error}")
            raise StopTest(f"cannot start the load: {error}") from None
        self.plan = plan
        quorum = "" if self.write_quorum is None else f"W={self.write_quorum}, "
        users = runner.target_user_count if runner else 0
        self.runs.append(LoadRun(f"Run {len(self.runs) + 1}: {quorum}{users} users"))

    def record(self, request: Request) -> None:
        """Log a request, and keep its time for the picture of this run."""
        if self.log is not None:
            self.log.add(*request)
        if self.runs:
            self.runs[-1].add(request)

    def _share_out(self, runner: MasterRunner) -> None:
        """Tell each worker its share. Messages to a worker arrive in order, so it knows before it
        begins.

        :raises ValueError: there is a worker that would have no user to make its writes.
        """
        workers = runner.clients.ready
        if runner.target_user_count < len(workers):
            raise ValueError(
                f"{len(workers)} workers need as many users at least, not "
                f"{runner.target_user_count}"
            )
        for number, worker in enumerate(workers):
            runner.send_message(SHARE, {"number": number, "of": len(workers)}, worker.id)
        self.waiting_for = {worker.id for worker in workers}
        gevent.spawn(self._watch_workers, runner, frozenset(self.waiting_for))

    def _watch_workers(self, runner: MasterRunner, run: frozenset[str]) -> None:
        """End the run when a worker is lost: its writes are missing, or open."""
        while self.waiting_for:
            gevent.sleep(LOST_CHECK_S)
            here = {client.id for client in runner.clients.all} - {
                client.id for client in runner.clients.missing
            }
            lost = self.waiting_for - here
            if lost and self.waiting_for <= run:
                self.waiting_for = set()
                self.fail(f"lost a worker in the middle of its share: {', '.join(sorted(lost))}")
                self.end()

    def share_answered(self, worker: str) -> None:
        """On the master: a worker has had answers to all of its share."""
        self.waiting_for.discard(worker)
        if self.plan is None or self.waiting_for or self.plan.is_complete:
            return
        self.plan.answered = self.plan.writes
        assert self.environment is not None
        with NodeClient(self.environment.host or "", token_headers()) as leader:
            self.save_lag(leader.status)
        self.end()

    def answered(self, fetch_status: Callable[[], Status]) -> None:
        """A write of this process has ended, well or badly."""
        assert self.plan is not None
        assert self.environment is not None
        self.plan.answered += 1
        if not self.plan.is_complete:
            return
        runner = self.environment.runner
        if isinstance(runner, WorkerRunner):
            runner.send_message(SHARE_ANSWERED)
        else:
            self.save_lag(fetch_status)
            self.end()

    def save_lag(self, fetch_status: Callable[[], Status]) -> None:
        """Write down how far the followers are behind, if the options say where."""
        assert self.environment is not None
        assert self.environment.parsed_options is not None
        path = self.environment.parsed_options.lag_report
        if not path:
            return
        try:
            observe_lag(fetch_status, LAG_TIMEOUT_S).save(Path(path))
        except (OSError, ValueError, NodeUnavailableError) as error:
            self.fail(f"cannot tell the followers' lag: {error!r}")

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
        # A worker's figures come to the master as often as they go into its CSV.
        intervals = 2.5 if isinstance(environment.runner, MasterRunner) else 1.5
        csv_delay_s = intervals * CSV_INTERVAL_S if environment.parsed_options.csv_prefix else 0
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
        self.waiting_for = set()
        if self.environment.stats.total.num_failures > 0:
            self.environment.process_exit_code = 1
        if self.plan is not None and not self.plan.is_complete:
            plan, self.plan = self.plan, None
            answered = max(plan.answered, self.environment.stats.total.num_requests)
            self.fail(f"stopped after {answered} of {plan.writes} writes")


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
        if write is None:
            raise StopUser
        try:
            self._send(write)
        finally:
            # Locust counts an exception as an error and goes on. The write has ended, so the run
            # can too.
            if load.plan is plan:
                load.answered(self._fetch_status)

    def _send(self, write: Write) -> None:
        # POST, not PUT: geventhttpclient silently repeats a PUT whose connection was lost. That
        # would hide an open outcome and add a write.
        with self.client.post(
            write.path,
            json={"value": write.value},
            name=REQUEST_NAME,
            catch_response=True,
            context={"key": write.key},
        ) as response:
            problem = why_not_confirmed(
                response.status_code, response.content, write.key, load.write_quorum
            )
            if problem is not None:
                response.failure(problem)
            else:
                version = msgspec.json.decode(response.content, type=Written).version
                response.request_meta["context"]["version"] = version  # for on_request
                response.success()

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
    with NodeClient(leader_url or "", token_headers(), ADMIN_TIMEOUT_S) as leader:
        answer = leader.request("POST", "/admin/set_quorum", json={"quorum": write_quorum})
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
locust.runners.WORKER_REPORT_INTERVAL = CSV_INTERVAL_S


def add_options(parser: LocustArgumentParser) -> None:
    """Add this load's options, on the command line and in the browser's form.

    :raises SystemExit: when Locust is to fork its workers.
    """
    add = parser.add_argument
    add("--writes", type=int, default=10_000, help="Writes in all, over all users")
    add("--keys", type=int, default=100, help="Keys the writes are spread over evenly")
    add("--write-quorum", default="", help="Write quorum to set first; empty = leave it as it is")
    add("--key-prefix", default="load-", help="What every key begins with")
    add("--seed", type=int, default=1, help="Seed of the order of the keys")
    add("--request-log", default="", include_in_web_ui=False, help="CSV of every request")
    add("--lag-report", default="", include_in_web_ui=False, help="JSON of the followers' lag")
    parser.set_defaults(num_users=USERS, spawn_rate=USERS)
    # A master that ends while workers that it has forked still start may wait for them forever.
    options, _ = parser.parse_known_args()
    if options.processes:
        raise SystemExit("this load needs --master and --worker processes, not --processes")


def on_init(environment: Environment, **_: object) -> None:
    """Prepare for runs."""
    load.environment = environment
    runner, options = environment.runner, environment.parsed_options
    assert options is not None
    if isinstance(runner, WorkerRunner):
        runner.register_message(SHARE, on_share)
        return
    if isinstance(runner, MasterRunner):
        runner.register_message(SHARE_ANSWERED, on_share_answered)
    if options.request_log:
        load.log = RequestLogWriter(Path(options.request_log))
    if environment.web_ui is not None:
        # Its libraries take half a second, which a run without the page need not wait for.
        from analysis.report.load_page import add_picture  # noqa: PLC0415

        add_picture(environment.web_ui, load.runs)


def on_share(msg: Message, **_: object) -> None:
    """The master has told this worker its share of the next run."""
    load.share = Share(**msg.data)


def on_share_answered(msg: Message, **_: object) -> None:
    """A worker has told this master that its share is answered."""
    load.share_answered(msg.node_id)


def on_request(
    start_time: float,
    response_time: float,
    context: dict[str, Any],
    exception: Exception | None,
    **_: object,
) -> None:
    """A request has ended, well or badly."""
    failure = None if exception is None else str(exception) or type(exception).__name__
    request = (start_time, response_time, context["key"], context.get("version"), failure)
    assert load.environment is not None
    if isinstance(load.environment.runner, WorkerRunner):
        load.unreported.append(request)
    else:
        load.record(request)


def on_report_to_master(data: dict[str, Any], **_: object) -> None:
    """On a worker: send its new requests with its statistics."""
    data[REQUESTS], load.unreported = load.unreported, []


def on_worker_report(data: dict[str, Any], **_: object) -> None:
    """On the master: record a worker's requests."""
    for request in data[REQUESTS]:
        load.record(request)


def on_test_start(environment: Environment, **_: object) -> None:
    """Begin a run, headless or from the browser."""
    load.begin(environment)


def on_test_stop(**_: object) -> None:
    """Judge a run that has ended by itself or was stopped."""
    load.judge()


def on_quitting(**_: object) -> None:
    """Judge a run that is cut off by the end of the process."""
    load.judge()
    if load.log is not None:
        load.log.close()


for hook, listener in (
    (events.init_command_line_parser, add_options),
    (events.init, on_init),
    (events.request, on_request),
    (events.report_to_master, on_report_to_master),
    (events.worker_report, on_worker_report),
    (events.test_start, on_test_start),
    (events.test_stop, on_test_stop),
    (events.quitting, on_quitting),
):
    hook.add_listener(listener)  # type: ignore[no-untyped-call]
