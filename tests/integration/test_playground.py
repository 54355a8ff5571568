"""The live page, in a real Chromium, on real nodes: every control, and every experiment."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from analysis.nodes.free_ports import free_ports
from analysis.nodes.metrics import requests_of
from analysis.nodes.node import REPO_ROOT
from analysis.nodes.waiting import wait_until
from kvstore.client import Client
from kvstore.client.node_client import NodeClient
from playground.experiments import EXPERIMENTS, Experiment
from tests.conftest import StartCluster
from tests.support.chromium import needs_chromium, open_page

TIMEOUT_MS = 60_000
EXPECTED = {
    "what-w-costs": 2,
    "slow-follower": 1,
    "dead-follower": 1,
    "three-outcomes": 2,
    "own-write": 0,
    "empty-follower": 0,
    "leader-restart": 0,
    "replaced-leader": 1,
    "retry": 0,
    "asynchronous": 0,
}
"""The prediction that comes true, by experiment."""
HELD = {
    "own-write": {"written": "own-write"},
    "three-outcomes": {"first write again": "outcomes"},
    "leader-restart": {
        "write before": "leader-restart",
        "first write after": "leader-restart-after",
    },
    "retry": {"without a key": "retry-without", "with a key": "retry-with"},
}
"""By experiment and row of its result, the key of which it tells the last version."""
COUNTED = {"three-outcomes": {503: 1, 504: 1}, "retry": {503: 0, 504: 2}}
"""By experiment, how many writes it says that the leader answered so."""
TIMED = {"what-w-costs", "slow-follower"}
"""Their answers depend on how fast things are, which a busy machine decides."""


@contextmanager
def playground(environment: Mapping[str, str] | None = None) -> Iterator[tuple[int, str]]:
    """The page's process, and its URL.

    Leaving ends it with SIGTERM, and fails when it leaves a process behind.
    """
    [port] = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, "-m", "playground", "--port", str(port)],
        cwd=REPO_ROOT,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: None if process.poll() or _answers(url) else "no answer", 60)
        yield process.pid, url
    finally:
        nodes = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        _, left = psutil.wait_procs(nodes, timeout=20)
        for each in left:
            each.kill()
        assert left == []


def _answers(url: str) -> bool:
    return requests.get(url, timeout=10).status_code in (200, 401)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with playground() as (_, found):
        yield found


@pytest.fixture
def page(url: str) -> Iterator[Page]:
    with open_page({"width": 1280, "height": 720}, reduced_motion="reduce") as found:
        found.set_default_timeout(TIMEOUT_MS)
        expect.set_options(timeout=TIMEOUT_MS)
        found.goto(url)
        expect(found.locator("#summary")).to_contain_text("5 of 5 followers reached")
        yield found


def row(name: str) -> str:
    return f"#nodes tbody tr:has(th:text-is('{name}'))"


def do(page: Page, what: str, name: str) -> None:
    page.get_by_role("button", name=f"{what} {name}", exact=True).click()
    expect(page.locator("#answer")).to_have_text(f"{what} {name}: done.")


@needs_chromium
def test_the_page_shows_the_cluster(page: Page) -> None:
    expect(page.locator("#summary")).to_contain_text("leader is leading in epoch")
    expect(page.locator("#nodes tbody tr")).to_have_count(6)
    expect(page.locator("#tape tbody tr")).to_have_count(7)
    expect(page.locator("#tape td.confirmed").first).to_be_visible()
    expect(page.locator("#cluster .link")).to_have_count(5)
    expect(page.locator("#outcomes")).to_contain_text(re.compile(r"[1-9]\d* confirmed"))


@needs_chromium
def test_a_write_can_be_watched_step_by_step(page: Page) -> None:
    page.get_by_role("button", name="Next step").click()
    expect(page.locator("#journey-steps li").first).to_contain_text("request formed")
    for _ in range(20):
        page.get_by_role("button", name="Next step").click()
        if "confirmed: 2 followers hold" in page.locator("#journey-steps").inner_text():
            break
    expect(page.locator("#journey-steps")).to_contain_text("confirmed: 2 followers hold")
    page.get_by_role("button", name="Play it once").click()
    expect(page.locator("#packets .packet").first).to_be_visible()
    expect(page.locator("#journey .bar-exchange")).to_have_count(5)
    expect(page.locator("#packets")).to_contain_text("5 acknowledged, confirmed")
    expect(page.locator("#packets .packet")).to_have_count(0)


@needs_chromium
def test_the_newest_writes_are_played_unless_motion_is_unwelcome(page: Page) -> None:
    playing = page.get_by_label("Play the newest write, slowed down")
    expect(playing).not_to_be_checked()
    page.emulate_media(reduced_motion="no-preference")
    page.reload()
    expect(playing).to_be_checked()
    caption = page.locator("#packets > text").first
    expect(caption).to_contain_text("confirmed")
    first = str(caption.text_content()).split(",")[0]
    expect(caption).not_to_contain_text(first)


@needs_chromium
@pytest.mark.parametrize(
    ("deed", "undo", "fault", "command"),
    [
        ("freeze", "thaw", "frozen", "kill -STOP"),
        ("kill", "start", "stopped", "kill -9"),
        ("cut", "heal", "cut off", "loses everything"),
        ("empty", "start", "stopped", "rm -r"),
    ],
)
def test_a_node_can_be_broken_and_mended(
    page: Page, deed: str, undo: str, fault: str, command: str
) -> None:
    do(page, deed, "follower3")
    expect(page.locator("#command")).to_contain_text(command)
    expect(page.locator(row("follower3"))).to_contain_text(fault)
    expect(page.locator("#summary")).to_contain_text("4 of 5 followers reached")
    do(page, undo, "follower3")
    expect(page.locator("#summary")).to_contain_text("5 of 5 followers reached")


@needs_chromium
def test_what_is_done_in_a_terminal_is_seen_too(page: Page) -> None:
    do(page, "freeze", "follower2")
    command = page.locator("#command").inner_text()
    seen = page.locator(row("follower2"))
    expect(seen).to_contain_text("frozen")
    subprocess.run(["bash", "-c", command.replace("-STOP", "-CONT")], check=True)
    expect(seen).not_to_contain_text("frozen")
    subprocess.run(["bash", "-c", command.replace("-STOP", "-9")], check=True)
    expect(seen).to_contain_text("stopped")
    do(page, "start", "follower2")
    expect(page.locator("#summary")).to_contain_text("5 of 5 followers reached")


@needs_chromium
def test_the_leader_can_be_restarted(page: Page) -> None:
    do(page, "restart", "leader")
    expect(page.locator("#summary")).to_contain_text("leader is leading in epoch")


@needs_chromium
def test_the_leader_can_be_replaced_and_everything_put_back(page: Page) -> None:
    do(page, "freeze", "leader")
    expect(page.locator("#summary")).to_contain_text("does not answer")
    do(page, "replace", "leader")
    expect(page.locator("#summary")).to_contain_text("leader2 is leading in epoch 2")
    expect(page.locator("#nodes tbody tr")).to_have_count(7)
    do(page, "cut", "follower1")
    expect(page.locator("#summary")).to_contain_text("4 of 5 followers reached")
    put_everything_back(page)


@needs_chromium
def test_a_leader_that_was_cut_off_and_replaced_is_deposed(page: Page) -> None:
    do(page, "cut", "leader")
    expect(page.locator("#summary")).to_contain_text("0 of 5 followers reached")
    do(page, "replace", "leader")
    expect(page.locator("#summary")).to_contain_text("leader2 is leading in epoch 2; W=2; 5 of 5")
    do(page, "heal", "leader")
    expect(page.locator(row("leader"))).to_contain_text("deposed")
    put_everything_back(page)


def put_everything_back(page: Page) -> None:
    page.get_by_role("button", name="Put everything back").click()
    expect(page.locator("#answer")).to_have_text("Everything is as it was.")
    expect(page.locator("#summary")).to_contain_text("leader is leading in epoch 1; W=2; 5 of 5")
    expect(page.locator("#nodes tbody tr")).to_have_count(6)


@needs_chromium
def test_w_delay_clients_and_single_requests(page: Page) -> None:
    page.get_by_label("W, followers that must hold a write").fill("4")
    page.get_by_role("button", name="Set W").click()
    expect(page.locator("#summary")).to_contain_text("W=4")
    expect(page.locator("#command")).to_contain_text("quorum 4")
    page.get_by_label("W, followers that must hold a write").fill("2")
    page.get_by_role("button", name="Set W").click()
    page.get_by_label("Delay from").fill("3")
    page.locator("#delay-form [name=max_ms]").fill("2")
    page.get_by_role("button", name="Set delay").click()
    expect(page.locator("#answer")).to_contain_text("Not done: 0 <= min_ms <= max_ms")
    page.locator("#delay-form [name=max_ms]").fill("4")
    page.locator("#delay-form [name=node]").select_option("follower2")
    page.get_by_role("button", name="Set delay").click()
    expect(page.locator("#command")).to_contain_text("delay 3 4 --follower")
    page.get_by_label("Background clients").fill("3")
    page.get_by_role("button", name="Set clients").click()
    expect(page.locator("#command")).to_contain_text("--clients 3")
    for method, answer in (("put", "200 after"), ("get", '"value":"green"'), ("delete", "200")):
        page.locator("#request-form [name=method]").select_option(method)
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#answer")).to_contain_text(answer)
    page.locator("#request-form [name=node]").select_option("follower1")
    page.locator("#request-form [name=method]").select_option("put")
    page.get_by_role("button", name="Send").press("Enter")
    expect(page.locator("#answer")).to_contain_text("403")


def nodes_of(url: str) -> dict[str, NodeClient]:
    """The nodes on the page, by name."""
    with requests.get(f"{url}/frames", stream=True, timeout=10) as frames:
        lines = frames.iter_lines(chunk_size=1)
        frame = next(json.loads(line[6:]) for line in lines if line.startswith(b"data: "))
    return {each["name"]: NodeClient(each["url"]) for each in frame["nodes"]}


def refused_and_open(leader: NodeClient) -> dict[int, float]:
    return {status: requests_of(leader, "PUT", "/put/{key}", status) for status in (503, 504)}


def last_version(outcome: Locator, row: str) -> int:
    """The last version that a row of a result tells."""
    text = outcome.locator(f"tr:has(th:text-is('{row}')) td").inner_text()
    [found] = re.findall(r"versions? (?:\d+ and )?(\d+)", text)
    return int(found)


@needs_chromium
@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda each: each.name)
def test_an_experiment_tells_what_the_nodes_hold(
    page: Page, url: str, experiment: Experiment, tmp_path: Path
) -> None:
    name = experiment.name
    before = refused_and_open(nodes_of(url)["leader"])
    article = page.locator(f"#experiment-{name}")
    article.get_by_role("radio").nth(EXPECTED[name]).check()
    article.get_by_role("button", name="Run it").click()
    outcome = article.locator(".outcome")
    expect(outcome.get_by_role("link")).to_be_visible(timeout=180_000)
    expect(outcome).to_contain_text("s you expected.")
    if name not in TIMED:
        expect(outcome).to_contain_text("As you expected.")
    nodes = nodes_of(url)
    for text, key in HELD.get(name, {}).items():
        version = last_version(outcome, text)
        for node in nodes.values():
            assert node.get(key, min_version=version).json()["version"] == version
    if name in COUNTED:
        after = refused_and_open(nodes["leader"])
        assert {status: after[status] - before[status] for status in after} == COUNTED[name]
    with page.expect_download() as download:
        outcome.get_by_role("link").click()
    saved = tmp_path / "run.html"
    download.value.save_as(saved)
    text = saved.read_text("utf-8")
    assert name in TIMED or "(came true)" in text
    assert "http" not in text.replace("http-equiv", ""), "it needs nothing from elsewhere"


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_everybody_can_use_it(url: str, width: int, scheme: str) -> None:
    with open_page({"width": width, "height": 720}, color_scheme=scheme) as page:
        page.goto(url)
        expect(page.locator("#packets")).to_contain_text("confirmed", timeout=TIMEOUT_MS)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert overflow <= 0, "the page does not scroll sideways"


# Without a browser


def test_it_answers_to_its_own_name_and_page_only(url: str) -> None:
    strange = requests.get(url, headers={"Host": "evil.example"}, timeout=10)
    assert strange.status_code == 403
    form = requests.post(f"{url}/quorum", data={"size": "1"}, timeout=10)
    assert form.status_code == 415


def test_what_cannot_be_done_is_refused_with_a_reason(url: str) -> None:
    for path, body, status in (
        ("/nodes/nobody/freeze", {}, 409),
        ("/nodes/leader/explode", {}, 409),
        ("/nodes/leader/thaw", {}, 409),
        ("/nodes/follower1/replace", {}, 409),
        ("/quorum", {"size": 9}, 409),
        ("/quorum", {"size": "many"}, 400),
        ("/quorum", [], 400),
        ("/delay", {"min_ms": 1}, 400),
        ("/experiments/none", {}, 409),
        ("/nodes/leader/request", {"method": "explode", "key": "k"}, 400),
    ):
        answer = requests.post(f"{url}{path}", json=body, timeout=30)
        assert answer.status_code == status, (path, answer.text)
    assert requests.get(f"{url}/runs/1000", timeout=10).status_code == 404


def test_it_attaches_to_a_cluster_that_runs_elsewhere(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2, WRITE_QUORUM=1, CLUSTER_TOKEN="secret", MIN_DELAY=0, MAX_DELAY=5)
    near, far = (each.address for each in cluster.followers)
    operator = Client(cluster.leader.url, token="secret")
    operator.set_delay(7, 8, far)
    environment = {"PLAY_LEADER": cluster.leader.url, "KVSTORE_TOKEN": "secret"}
    with playground(environment) as (_, url):
        assert requests.get(url, timeout=10).status_code == 401
        session = requests.Session()
        session.auth = ("anyone", "secret")
        own = sum(each.needs_processes for each in EXPERIMENTS)
        assert session.get(url, timeout=10).text.count("nodes of the page's own") == own > 0
        assert session.post(f"{url}/quorum", json={"size": 2}, timeout=30).status_code == 200
        assert cluster.leader.status().write_quorum == 2
        operator.set_delay(3, 4, near)
        assert session.post(f"{url}/calm", json={}, timeout=30).status_code == 200
        status = cluster.leader.status()
        found = [(each.delay.min_ms, each.delay.max_ms) for each in status.followers]
        assert (status.write_quorum, found) == (1, [(0, 5), (7, 8)])
        refused = session.post(f"{url}/nodes/leader/kill", json={}, timeout=30)
        assert refused.status_code == 409
    operator.close()
    assert cluster.leader.put_confirmed("k", 1) > 0, "the cluster goes on without the page"


def test_a_cluster_that_is_not_there_is_told() -> None:
    [port] = free_ports(1)
    done = subprocess.run(
        [sys.executable, "-m", "playground", "--leader", f"http://127.0.0.1:{port}"],
        cwd=REPO_ROOT,
        env={**os.environ, "PORT": str(free_ports(1)[0])},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode != 0
    assert "who leads" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("port", ["x", "0", "65536"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "playground", "--port", port],
        cwd=REPO_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "PORT must be" in done.stderr
