"""The benchmark's arithmetic: wrk's output, medians and ratios, targets, and the model."""

import math
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from analysis.bench.cases import CASES, CEILING_PUT, Case
from analysis.bench.findings import Finding, findings_markdown
from analysis.bench.measurement import Measurement
from analysis.bench.model import Costs, Rounds, fit
from analysis.bench.predictions import CASE, predict
from analysis.bench.summary import ratio_between, summarise
from analysis.bench.targets import judge
from analysis.bench.wrk import Load, parse_output
from analysis.nodes.errors import LoadError
from analysis.nodes.usage import Usage, usage_of

OURS = next(case for case in CASES if case.name == CASE)
PLAIN = next(case for case in CASES if case.group.startswith("plain") and case.write_quorum == 3)

OUTPUT = """Running 2s test @ http://127.0.0.1:5000
  1 threads and 15 connections
  Non-2xx or 3xx responses: 10
Requests/sec:   1000.00
totals {"answers":2010,"duration_us":2000000,"refused":10,"broken":3,"p50_us":1500,"p99_us":9000,"max_us":20000}
"""  # noqa: E501


def test_the_totals_of_a_load_are_read() -> None:
    load = parse_output(OUTPUT)
    assert load == Load(2000, 13, 2.0, p50_ms=1.5, p99_ms=9.0, max_ms=20.0)
    assert load.per_s == 1000.0


def test_a_load_without_answers_has_no_times_and_one_without_totals_fails() -> None:
    silent = parse_output(OUTPUT.replace("2010", "0").replace('"refused":10', '"refused":0'))
    assert silent.per_s == 0
    assert math.isnan(silent.p50_ms)
    with pytest.raises(LoadError, match="no totals"):
        parse_output("unable to connect to 127.0.0.1:5000 Connection refused")


def make(number: int, case: Case, per_s: int, cpu_s: float, connections: int = 15) -> Measurement:
    load = Load(per_s, 1, 1.0, 1.0, 3.0, 9.0, cpu_s=0.1)
    follower = None if case is CEILING_PUT else Usage(cpu_s / 4, per_s, 0)
    return Measurement(number, case, connections, load, Usage(cpu_s, 0, 20), follower, 2.0)


ROUNDS = [
    *(make(1, CEILING_PUT, 1000, 0.5), make(1, OURS, 500, 0.5), make(1, PLAIN, 100, 1.0)),
    *(make(2, CEILING_PUT, 4000, 0.5), make(2, OURS, 1000, 0.5), make(2, PLAIN, 100, 1.0)),
    *(make(3, CEILING_PUT, 1000, 0.5), make(3, OURS, 400, 0.5), make(3, PLAIN, 80, 1.0)),
]


def test_figures_are_medians_and_ratios_are_taken_within_each_round() -> None:
    ceiling, ours, plain = summarise(list(reversed(ROUNDS)))
    assert [each.case for each in (ceiling, ours, plain)] == [CEILING_PUT, OURS, PLAIN]
    rate, ratio = ours.figures["per_s"], ours.ratios["per_s"]
    assert (rate.low, rate.median, rate.high) == (400, 500, 1000)
    assert (ratio.low, ratio.median, ratio.high) == (0.25, 0.4, 0.5)
    assert ours.errors == 3
    assert ours.figures["cpu_us"].median == 1000
    assert ours.ratios["cpu_us"].median == 2.5
    # A follower is compared with the ceiling's own work for a write.
    assert ours.ratios["follower_cpu_us"].median == 0.625
    assert "waits" not in ours.ratios, "the ceiling has none"
    assert "waits" not in plain.figures
    assert ratio_between(ROUNDS, OURS.name, PLAIN.name, 15) == 5
    assert math.isnan(ratio_between(ROUNDS, OURS.name, PLAIN.name, 64))


def test_the_targets_of_what_was_measured_are_judged() -> None:
    verdicts = {each.subject: each for each in judge(summarise(ROUNDS), ROUNDS)}
    assert {(name, each.value, each.reached) for name, each in verdicts.items()} == {
        (f"{CASE}, 15 connections: rate, to ceiling", 0.4, False),
        (f"{CASE}, 15 connections: rate, to the plain design", 5, True),
    }


@pytest.mark.parametrize(
    ("finding", "words"),
    [
        (Finding("a", 0.0614, "s", 30, "most"), "| a | 0.0614 s | ≤ 30 s: reached |  |"),
        (Finding("a", 1234.5, "", 2e5), "| a | 1,234 | ≥ 200,000: **missed** |  |"),
        (Finding("a", math.nan, "s", 1, note="why"), "| a | — | ≥ 1 s: not measured | why |"),
        (Finding("a", 12.3456), "| a | 12.3 | — |  |"),
    ],
)
def test_findings_stand_beside_their_targets(finding: Finding, words: str) -> None:
    assert words in findings_markdown([finding])


def test_the_model_finds_the_parameters_of_rates_that_follow_it() -> None:
    true = Rounds(fixed_s=0.004, per_write_s=0.0005)
    fitted = fit({n: true.rate(n) for n in (1, 15, 64)})
    assert fitted.fixed_s == pytest.approx(0.004)
    assert fitted.per_write_s == pytest.approx(0.0005)
    assert fitted.rate(1000) == pytest.approx(1000 / 0.504)


def test_no_part_of_a_round_is_negative() -> None:
    steady = fit({1: 1000, 64: 900})
    assert steady.fixed_s == 0
    assert 900 < steady.rate(64) < 1000
    proportional = fit({1: 100, 64: 7000})
    assert proportional.per_write_s == 0
    assert 6400 < proportional.rate(64) < 7000


def test_a_leader_is_one_thread_and_everything_shares_the_cores() -> None:
    costs = Costs(leader_s=0.0004, followers_s=0.0005, load_s=0.0001)
    assert costs.bound_s(cores=1) == pytest.approx(0.001)
    assert costs.bound_s(cores=2) == pytest.approx(0.0005)
    assert costs.bound_s(cores=8) == 0.0004
    assert costs.bound_s(cores=8, groups=2) == 0.0002
    # 2 cores are the limit, 8 are not: a write then takes 4/5 of the time.
    moved = Rounds(0.004, 0.001).elsewhere(costs, measured_cores=2, cores=8)
    assert moved.fixed_s == 0.004
    assert moved.per_write_s == pytest.approx(0.0008)


def test_the_model_is_checked_against_what_it_was_not_fitted_to() -> None:
    measured = [make(1, OURS, rate, 0.5, n) for n, rate in ((1, 100), (15, 900), (64, 1600))]
    assert predict(summarise(measured[:2]), cores=2) is None
    predictions = predict(summarise(measured), cores=2)
    assert predictions is not None
    (check,) = predictions.checks
    assert (check.connections, check.measured) == (15, 900)
    assert replace(check, predicted=990).error == pytest.approx(0.1)
    assert predictions.rate(64, cores=2, groups=1) == pytest.approx(1600)


def test_usage_is_that_of_running_processes() -> None:
    me = psutil.Process()
    before = usage_of([me])
    while (used := usage_of([me]) - before).cpu_s == 0:
        Path("/proc/self/stat").read_bytes()
    assert 0 < used.cpu_s < 10
    assert usage_of([]) == Usage()
