"""What a study has found, in plain words; every sentence is computed from the data."""

from collections.abc import Iterator, Sequence

from analysis.study.exchange_figures import NEAR_MS
from analysis.study.results import Results
from analysis.study.statistics import Interval
from analysis.study.summary import (
    BUSY_GENERATOR,
    QuorumFigures,
    Step,
    Theory,
    beyond_delays,
    busy_prediction,
    commit_ms_of,
    consistency_of,
    copies_of,
    figures_of,
    idle_lateness,
    littles_law,
    parts_of,
    rise,
    steps_of,
    theory_of,
)

CLOSE_TO_LAW = 0.05
"""How far the delays that happened may be from the law, as a share of it."""

LONGER = 1.25
"""From how many times the usual time on a transaction on the disk takes longer."""

LATE = 0.01
"""Of the idle regime's writes, from what share on they say that it was not idle."""


def findings(results: Results) -> list[str]:
    """One to a few sentences for each question that the data can answer."""
    idle, loaded = figures_of(results, "idle"), figures_of(results, "loaded")
    return [
        *_late(results),
        *_curve("One client at a low rate", idle),
        *_theory(results, idle),
        *_parts(results, idle),
        *_curve(f"{results.study.settings.users} clients at full speed", loaded),
        *_load(results, loaded),
        *_staleness(loaded),
        *_copies(results, loaded),
        *_faults(results, loaded),
    ]


def interval_text(interval: Interval, digits: int = 2, unit: str = " ms") -> str:
    """The mean with its interval, where that is known."""
    mean = f"{interval.mean:.{digits}f}{unit}"
    if interval.low is None or interval.high is None:
        return mean
    return f"{mean} (95 %: {interval.low:.{digits}f} to {interval.high:.{digits}f})"


def _late(results: Results) -> Iterator[str]:
    """Whether the idle regime was idle."""
    runs = [run for run in results.runs if run.run.is_idle and len(run.log.latency_ms)]
    late = sum(
        int((run.log.latency_ms > 1000 / run.run.per_s(results.study.settings)).sum())
        for run in runs
    )
    writes = sum(len(run.log.latency_ms) for run in runs)
    if late > LATE * writes:
        yield (
            f"**The idle regime was not idle**: {late:,} of its {writes:,} writes were not "
            "answered when the next was due. Something else kept the processors busy, and its "
            "figures are those of a queue; measure again on an idle machine."
        )


def _curve(who: str, figures: dict[int, QuorumFigures]) -> Iterator[str]:
    """Whether a larger quorum costs more, and between which neighbours that is certain."""
    if len(figures) < 2:
        return
    lowest, highest = min(figures), max(figures)
    whole = rise(figures[lowest], figures[highest])
    ends = (
        f"{who}: a write takes {figures[lowest].mean_ms.mean:.2f} ms at W={lowest} and "
        f"{figures[highest].mean_ms.mean:.2f} ms at W={highest}"
    )
    if whole.low is None:
        yield f"{ends}; with one repeat, nobody can tell whether that is the quorum or chance."
        return
    if whole.is_positive:
        yield f"{ends}, which is {interval_text(whole)} more."
    elif whole.is_negative:
        yield f"{ends}: less, not more, by {interval_text(whole.times(-1))}."
    else:
        yield (
            f"{ends}; the difference, {interval_text(whole)}, may be chance: **no effect of W is "
            "shown**."
        )
    steps = steps_of(figures)
    rising = [step for step in steps if step.rise_ms.is_positive]
    others = [step for step in steps if not step.rise_ms.is_positive]
    if not others:
        yield f"{who}: the mean rises with each of the {len(steps)} steps of W."
    elif rising:
        yield (
            f"{who}: the mean certainly rises from {_names(rising)}; from {_names(others)} the "
            "interval of the rise reaches down to zero or below it."
        )


def _names(steps: Sequence[Step]) -> str:
    return ", ".join(f"W={step.lower} to {step.upper}" for step in steps)


def _theory(results: Results, idle: dict[int, QuorumFigures]) -> Iterator[str]:
    theory = theory_of(results)
    if theory is not None and theory.worst_error is not None:
        error = theory.worst_error
        yield (
            "The simulated delays that really happened: the mean of the W-th smallest is "
            f"{'within' if error <= CLOSE_TO_LAW else 'up to'} {100 * error:.1f} % "
            f"{'of' if error <= CLOSE_TO_LAW else 'off'} the law of order statistics."
        )
        if error > CLOSE_TO_LAW and not all(run.result.in_real_time for run in results.of("idle")):
            yield (
                "The leader could not be given real-time priority (run the study as root for "
                "that), so its timers also waited for processors that followers held."
            )
        if error > CLOSE_TO_LAW:
            yield from _lateness(results)
        yield from _beside_the_law(theory, idle)
    wide, figures = theory_of(results, "idle_wide"), figures_of(results, "idle_wide")
    if wide is not None and figures:
        above = {w: each.mean_ms.mean - wide.law[w] for w, each in figures.items() if w in wide.law}
        low, high = min(above.values()), max(above.values())
        yield (
            f"With delays of 0 to 100 ms, a write takes {low:.1f} to {high:.1f} ms more than the "
            "law has for the delays alone."
        )
        own = [more.mean for each in figures.values() if (more := beyond_delays(each))]
        if own:
            yield (
                "The mean of the delays drawn for these few writes differs from the law by chance; "
                f"beside the delays of its own requests, a write takes {min(own):.1f} to "
                f"{max(own):.1f} ms more."
            )
        yield from _disk(results)


def _disk(results: Results) -> Iterator[str]:
    """Whether the disk has a part in what a write takes when the nodes have been idle for long."""
    wide, usual = (commit_ms_of(results, regime) for regime in ("idle_wide", "idle"))
    if wide is None or usual is None:
        return
    verdict = (
        "a machine that has been idle for longer takes longer to wake up, and a write waits for "
        "two of them, the leader's and a follower's."
        if wide > LONGER * usual
        else "the disk does not explain it."
    )
    yield (
        f"A transaction on a node's disk took {wide:.2f} ms on average meanwhile, and {usual:.2f} "
        f"ms in the idle runs with shorter delays: {verdict}"
    )


def _lateness(results: Results) -> Iterator[str]:
    found = idle_lateness(results)
    if found is None:
        return
    lateness, more = found
    verdict = (
        "so the leader, which sends one request after the other, is what makes them long"
        if more.is_positive
        else "which may be chance: the leader's sending does not explain it"
    )
    yield (
        f"{100 * lateness.share:.0f} % of these delays ended less than {NEAR_MS:g} ms after "
        f"another request had been sent, and were {_off(lateness.close_ms)} on average; "
        f"the others were {_off(lateness.alone_ms)}. The difference is "
        f"{interval_text(more, 3)}, {verdict}."
    )


def _off(late_ms: float) -> str:
    return f"{abs(late_ms):.3f} ms too {'long' if late_ms >= 0 else 'short'}"


def _beside_the_law(theory: Theory, idle: dict[int, QuorumFigures]) -> Iterator[str]:
    quorums = sorted(theory.law.keys() & idle.keys())
    if len(quorums) < 2:
        return
    lowest, highest = quorums[0], quorums[-1]
    whole = rise(idle[lowest], idle[highest])
    law = theory.law[highest] - theory.law[lowest]
    if law <= 0:
        return
    relation = "more than" if whole.mean > law else "less than"
    if _holds(whole, law):
        relation = "as much as"
    yield (
        f"From W={lowest} to W={highest} a write becomes {interval_text(whole)} slower, "
        f"{relation} the law has for the delays alone ({law:.2f} ms)."
    )


def _holds(interval: Interval, value: float) -> bool:
    return (
        interval.low is not None
        and interval.high is not None
        and (interval.low <= value <= interval.high)
    )


def _parts(results: Results, idle: dict[int, QuorumFigures]) -> Iterator[str]:
    """What explains the distance between the law and what a client sees."""
    quorums = [w for w in sorted(idle) if w > 0]
    if len(quorums) < 2:
        return
    lowest, highest = quorums[0], quorums[-1]
    parts = {w: parts_of(idle[w]) for w in (lowest, highest)}
    first, last = parts[lowest], parts[highest]
    if first is None or last is None:
        return

    def rest_ms(w: int, part_sum_ms: float) -> float:
        return idle[w].mean_ms.mean - part_sum_ms

    rests = [
        rest_ms(w, each.queue_ms + each.delay_ms + each.exchange_ms)
        for w, each in ((lowest, first), (highest, last))
    ]
    yield (
        f"Of the {idle[lowest].mean_ms.mean:.2f} ms at W={lowest}, the simulated delay is "
        f"{first.delay_ms:.2f}, sending the request and reading the acknowledgement "
        f"{first.exchange_ms:.2f}, the request before it {first.queue_ms:.2f}, and client and "
        f"leader {rests[0]:.2f}."
    )
    growth = {
        "the longer delay": last.delay_ms - first.delay_ms,
        "a slower exchange (requests to and answers from several followers share the processors)": (
            last.exchange_ms - first.exchange_ms
        ),
        "waiting for the request before": last.queue_ms - first.queue_ms,
        "client and leader": rests[1] - rests[0],
    }
    total = idle[highest].mean_ms.mean - idle[lowest].mean_ms.mean
    shown = "; ".join(f"{name} {ms:+.2f} ms" for name, ms in growth.items())
    yield f"From W={lowest} to W={highest} ({total:+.2f} ms) changes: {shown}."
    without = figures_of(results, "idle_no_delay")
    if lowest in without and highest in without:
        cost = rise(without[lowest], without[highest])
        verdict = (
            "so waiting for more followers costs time of its own"
            if cost.is_positive
            else "which may be chance"
        )
        yield (
            f"Without a simulated delay, W={highest} takes {interval_text(cost)} more than "
            f"W={lowest}, {verdict}."
        )


def _load(results: Results, loaded: dict[int, QuorumFigures]) -> Iterator[str]:
    clients = results.study.settings.users
    if not loaded:
        return
    laws = {w: littles_law(each, clients) for w, each in loaded.items()}
    low, high = (pick(law.share for law in laws.values()) for pick in (min, max))
    agrees = low >= 0.9 and high <= 1.1
    yield (
        f"Little's law: throughput times latency gives {100 * low:.0f} to {100 * high:.0f} % of "
        f"the {clients} clients: under load, latency is "
        + (
            "the number of clients divided by the throughput."
            if agrees
            else "not explained by the clients alone; the load spends time between writes."
        )
    )
    busiest = max((each.generator_share or 0 for each in loaded.values()), default=0)
    if busiest >= BUSY_GENERATOR:
        yield (
            f"**The load's process used {100 * busiest:.0f} % of a core: it is a bottleneck**, and "
            "throughput and latency under load are partly its own. `--workers` divides it."
        )
    predicted = busy_prediction(loaded, results.study.settings.seed)
    if len(predicted) > 1:
        lowest, highest = min(predicted), max(predicted)
        expected = predicted[highest] - predicted[lowest]
        seen = rise(loaded[lowest], loaded[highest])
        yield (
            "If the streams to the followers knew nothing of each other, waiting for the rest of a "
            f"request and then for the next one would make W={highest} {expected:.1f} ms slower "
            f"than W={lowest}; it was {interval_text(seen, 1)}"
            + ("." if _holds(seen, expected) else ": independent streams do not explain it.")
        )


def _staleness(loaded: dict[int, QuorumFigures]) -> Iterator[str]:
    found = {w: consistency_of(each) for w, each in loaded.items()}
    shares = {w: each.stale_share for w, each in found.items() if each.stale_share is not None}
    if not shares:
        return
    reads = sum(each.reads for each in found.values())
    stale = sum(run.staleness.stale for each in loaded.values() for run in each.runs)
    were = "was" if stale == 1 else "were"
    text = f"Of {reads:,} reads from followers during the loads, {stale:,} {were} stale"
    lowest, highest = min(shares), max(shares)
    if stale and lowest != highest:
        ends = (f"{_percent(shares[w])} at W={w}" for w in (lowest, highest))
        text += f": {', '.join(ends)}"
    worst = max(found.values(), key=lambda each: each.behind_ms or 0)
    if worst.behind_ms is not None and worst.versions_behind is not None:
        text += (
            f"; at worst, stale reads lacked {worst.versions_behind:.1f} versions and were "
            f"{worst.behind_ms:.1f} ms behind, on average"
        )
    yield f"{text}."
    lags = {w: each.lag_entries for w, each in found.items() if each.lag_entries is not None}
    if lags:
        most = max(lags, key=lambda w: lags[w])
        text = (
            f"When the last write was answered, a follower was {lags[most]:.1f} entries behind on "
            f"average at W={most}, where it was most"
        )
        converged = [each.converged_ms.mean for each in found.values() if each.converged_ms]
        if converged:
            text += f"; {max(converged):.1f} ms later, on average at the slowest W, none was"
        yield f"{text}."


def _percent(share: Interval) -> str:
    return interval_text(share.times(100), 2, " %")


def _copies(results: Results, loaded: dict[int, QuorumFigures]) -> Iterator[str]:
    followers = results.study.settings.follower_count
    for w in sorted({min(loaded), max(loaded)} if loaded else ()):
        copies = copies_of(loaded[w])
        if copies is None:
            continue
        at_once, _, after_ten, _ = copies.held
        text = (
            f"At W={w}, {at_once:.1f} of {followers} followers are known to hold a write when it "
            f"is confirmed, and {after_ten:.1f} of them 10 ms later."
        )
        if w < followers:
            text += (
                f" At the worst moment {copies.most_at_risk} confirmed writes were on no more than "
                f"{w}: so many are lost if the leader's machine goes together with these followers."
            )
        else:
            text += " No confirmed write is gone as long as one follower is left."
        yield text


def _faults(results: Results, loaded: dict[int, QuorumFigures]) -> Iterator[str]:
    slow = figures_of(results, "slow_follower")
    for w in sorted(slow.keys() & loaded.keys()):
        factor = slow[w].mean_ms.mean / loaded[w].mean_ms.mean
        yield (
            f"One follower at 20 ms, W={w}: a write takes {slow[w].mean_ms.mean:.1f} ms, "
            f"{factor:.1f} times as long as with healthy followers."
        )
    for run in results.of("follower_down"):
        made = len(run.log.latency_ms) + run.log.failed
        yield (
            f"One follower down, W={run.run.write_quorum}: {len(run.log.latency_ms):,} of {made:,} "
            "writes were confirmed"
            + (f"; the others failed: {', '.join(run.log.failures)}." if run.log.failed else ".")
        )
