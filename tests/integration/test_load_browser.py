"""The load started in Locust's browser UI, in a real headless Chromium."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests
from playwright.sync_api import Page, expect, sync_playwright

from analysis.nodes.free_ports import free_ports
from analysis.nodes.local_cluster import LocalCluster
from analysis.nodes.node import REPO_ROOT, Node
from analysis.study.write_plan import WritePlan
from tests.support.chromium import ARGUMENTS, CHROMIUM, needs_chromium
from tests.support.waiting import wait_until

TIMEOUT_S = 60.0
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def leader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with LocalCluster(3, tmp_path_factory.mktemp("nodes"), {"REPL_TIMEOUT": "50"}) as cluster:
        yield cluster.leader


@pytest.fixture
def locust(leader: Node) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Locust with its browser UI, and the address of that."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "locust", "--locustfile", "locustfile.py"]
    options = ["--host", leader.url, "--web-host", "127.0.0.1", "--web-port", str(port)]
    with subprocess.Popen(
        [*command, *options],
        cwd=REPO_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:

        def why_not() -> str | None:
            assert process.poll() is None, "Locust exited"
            answer = requests.get(url, timeout=5)
            return None if answer.ok else f"HTTP {answer.status_code}"

        try:
            wait_until(why_not, TIMEOUT_S)
            yield process, url
        finally:
            process.kill()


@pytest.fixture
def page(locust: tuple[subprocess.Popen[bytes], str], tmp_path: Path) -> Iterator[Page]:
    expect.set_options(timeout=1_000 * TIMEOUT_S)
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path, executable_path=CHROMIUM, headless=True, args=ARGUMENTS
        )
        page = context.pages[0]
        page.goto(locust[1])
        yield page
        context.close()


def start_run(page: Page, **fields: str | int) -> None:
    """Fill in the form, the parameters of this load included, and start."""
    page.get_by_role("button", name="Custom parameters").click()
    for name, value in fields.items():
        page.locator(f"input[name={name}]").fill(str(value))
    page.get_by_role("button", name="Start").click()


def expect_the_run_to_end(page: Page, requests_sent: int) -> None:
    """One row for all keys, with so many requests and no failures; and the run has stopped."""
    page.get_by_role("tab", name="Statistics").click()
    row = page.locator("tbody tr").filter(has_text="/put/[key]")
    expect(row).to_have_count(1)
    expect(row.locator("td").nth(2)).to_have_text(str(requests_sent))
    expect(row.locator("td").nth(3)).to_have_text("0")
    expect(page.locator("header")).to_contain_text("STOPPED", ignore_case=True)


def show_the_picture(page: Page) -> None:
    """The link on the page leads to the picture of the runs."""
    page.get_by_role("tab", name="Download Data").click()
    link = page.get_by_role("link", name="Picture of the runs").get_attribute("href")
    assert link is not None
    answer = page.request.get(urljoin(page.url, link))
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    assert answer.body().startswith(PNG_SIGNATURE)


def test_runs_started_in_the_form_do_what_headless_ones_do(
    page: Page, locust: tuple[subprocess.Popen[bytes], str], leader: Node
) -> None:
    """Again and again, and after one that could not start and said why."""
    for number, (writes, write_quorum) in enumerate([(400, 2), (150, 3), (60, 1)]):
        before = leader.status().last_index
        prefix = f"run-{number}-"
        start_run(
            page,
            userCount=8,
            spawnRate=8,
            writes=writes,
            keys=10,
            writeQuorum=write_quorum,
            keyPrefix=prefix,
        )
        expect_the_run_to_end(page, writes)
        assert leader.status().last_index - before == writes
        assert leader.status().write_quorum == write_quorum
        assert WritePlan(writes, 10, prefix, seed=1).why_not_in(leader.copy(), before) == []
        show_the_picture(page)
        page.get_by_role("button", name="New").click()

    before = leader.status().last_index
    start_run(page, writeQuorum=9, writes=50)
    page.get_by_role("tab", name="Exceptions").click()
    expect(page.locator("body")).to_contain_text("the leader refused write quorum 9")
    assert leader.status().last_index == before
    page.get_by_role("button", name="New").click()
    start_run(page, writeQuorum=1, writes=50)
    expect_the_run_to_end(page, 50)
    assert leader.status().last_index - before == 50
    process, _ = locust
    process.terminate()
    assert process.wait(TIMEOUT_S) == 1, "one run of them failed"
