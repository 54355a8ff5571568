"""Shows at the end what the random schedules were, so that each run can be repeated."""

import pytest

from tests.simulation.campaign import Summary

_SUMMARIES = pytest.StashKey[list[Summary]]()


@pytest.fixture
def summaries(pytestconfig: pytest.Config) -> list[Summary]:
    """What to show."""
    return pytestconfig.stash.setdefault(_SUMMARIES, [])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show it, whether the tests passed or not."""
    for summary in config.stash.get(_SUMMARIES, []):
        terminalreporter.write_line(f"simulator: {summary}")
