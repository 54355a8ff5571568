"""Which runs a study makes, and in which order."""

from collections import Counter

import pytest

from analysis.study.runs import Run, plan_measurements, take_turns
from analysis.study.settings import StudySettings, parse_settings

RUNNING = ["--leader=http://l:1", "--followers=http://a:1,http://b:1", "--quorums=1,2"]


def plan_runs(settings: StudySettings) -> list[Run]:
    return [run for measurement in plan_measurements(settings) for run in measurement]


def test_each_repeat_has_every_regime_and_quorum_in_an_order_of_its_own() -> None:
    settings = parse_settings([])
    runs = plan_runs(settings)
    counts = Counter((run.regime, run.write_quorum) for run in runs)
    assert counts == {
        (regime, w): 5 for regime in ("idle", "idle_no_delay", "loaded") for w in range(1, 6)
    }
    repeats = [run.repeat for run in runs]
    assert repeats == sorted(repeats)
    orders = {
        tuple((run.regime, run.write_quorum) for run in runs if run.repeat == repeat)
        for repeat in range(1, 6)
    }
    assert len(orders) == 5
    assert plan_runs(settings) == runs
    assert plan_runs(parse_settings(["--seed=2"])) != runs
    assert len({run.name for run in runs}) == len(runs)


def test_idle_runs_of_a_repeat_are_made_together_and_take_turns() -> None:
    settings = parse_settings(["--idle-writes=25", "--quorums=1,3,5"])
    together = [each for each in plan_measurements(settings) if each[0].regime == "idle"]
    assert [len(each) for each in together] == [3] * 5
    turns = take_turns(together[0], settings)
    assert [writes for _, writes in turns] == [10] * 6 + [5] * 3
    rounds = [[run.write_quorum for run, _ in turns[begin : begin + 3]] for begin in (0, 3, 6)]
    assert [sorted(each) for each in rounds] == [[1, 3, 5]] * 3
    assert {tuple(each) for each in rounds} != {(1, 3, 5)}
    assert take_turns(together[0], settings) == turns


def test_faults_come_last() -> None:
    settings = parse_settings(["--full"])
    runs = plan_runs(settings)
    assert Counter(run.regime for run in runs[-10:]) == {"slow_follower": 5, "follower_down": 5}
    assert not any(run.regime in ("slow_follower", "follower_down") for run in runs[:-10])
    doomed = [run for run in runs if run.is_doomed(settings)]
    assert [(run.regime, run.write_quorum) for run in doomed] == [("follower_down", 5)]


def test_a_running_cluster_is_left_as_it_is_set() -> None:
    assert {run.regime for run in plan_runs(parse_settings(RUNNING))} == {"idle", "loaded"}
    delay = ["--min-delay-ms=1", "--max-delay-ms=2", "--full"]
    regimes = {run.regime for run in plan_runs(parse_settings([*RUNNING, *delay]))}
    assert regimes == {"idle", "idle_no_delay", "idle_wide", "loaded", "slow_follower"}


@pytest.mark.parametrize("regime", ["idle", "idle_no_delay", "idle_wide"])
def test_idle_writes_are_further_apart_than_any_delay(regime: str) -> None:
    settings = parse_settings(["--full"])
    run = next(run for run in plan_runs(settings) if run.regime == regime)
    delay_ms = run.delay_ms(settings)
    assert delay_ms is not None
    assert 1000 / run.per_s(settings) >= delay_ms[1] + 3
