"""What the record of exchanges tells about the writes of a run."""

import numpy as np
import pytest

from analysis.study.exchange_figures import Waits, lateness_of, predict_busy_streams
from kvstore.api_types import Exchange


def exchange(follower: str, first: int, last: int, *times_s: float) -> Exchange:
    """Formed, sent and acknowledged at these times."""
    formed_s, sent_s, acknowledged_s = times_s
    return Exchange(
        number=1,
        follower=follower,
        first_index=first,
        last_index=last,
        formed_s=formed_s,
        drawn_ms=0.5,
        sent_s=sent_s,
        acknowledged_s=acknowledged_s,
    )


# Two writes, 11 and 12; "a" gets them one by one, "b" in one request together with 10, twice.
TWO = [
    exchange("a", 11, 11, 1.000, 1.001, 1.002),
    exchange("b", 10, 12, 1.000, 1.004, 1.006),
    exchange("a", 12, 12, 1.002, 1.005, 1.009),
    exchange("b", 10, 12, 1.010, 1.011, 1.012),
    exchange("a", 13, 14, 1.020, 1.021, 1.022),
]


def test_each_write_is_found_where_it_first_went() -> None:
    waits = Waits.of(TWO, "ab", np.arange(11, 13))
    assert waits.formed_s.tolist() == [[1.000, 1.000], [1.002, 1.000]]
    assert waits.sent_s.tolist() == [[1.001, 1.004], [1.005, 1.004]]
    assert waits.acknowledged_s.tolist() == [[1.002, 1.006], [1.009, 1.006]]
    assert waits.kth_delay_ms() == pytest.approx([(1 + 3) / 2, (4 + 4) / 2])


def test_a_write_that_the_record_does_not_hold_is_left_out() -> None:
    waits = Waits.of(TWO, "ab", np.arange(11, 14))
    assert waits.complete.tolist() == [True, True, False]
    assert waits.kth_delay_ms() == Waits.of(TWO, "ab", np.arange(11, 13)).kth_delay_ms()
    assert Waits.of(TWO[:1] + TWO[-1:], "ab", np.arange(12, 13)).kth_delay_ms() == []
    assert Waits.of([], "ab", np.arange(1, 3)).parts_ms(1) is None
    assert Waits.of([], "ab", np.arange(1, 3)).copies(1) is None


def test_the_parts_are_those_of_the_follower_that_decides() -> None:
    waits = Waits.of(TWO, "ab", np.arange(12, 13))
    first, last = waits.parts_ms(1), waits.parts_ms(2)
    assert first is not None
    assert last is not None
    # "b" decides W=1; its request was the first to be formed. "a" decides W=2.
    assert (first.queue_ms, first.delay_ms, first.exchange_ms) == pytest.approx((0, 4, 2))
    assert (last.queue_ms, last.delay_ms, last.exchange_ms) == pytest.approx((2, 3, 4))


def test_copies_at_the_confirmation_and_later() -> None:
    one, both, none = (Waits.of(TWO, "ab", np.arange(11, 13)).copies(w) for w in (1, 2, 0))
    assert one is not None
    assert both is not None
    assert none is not None
    assert one.held == (1.0, 1.0, 2.0, 2.0)
    assert one.alone_ms == pytest.approx((4 + 3) / 2)
    assert one.most_at_risk == 1, "11 is safe at the moment at which 12 is confirmed"
    assert (both.held, both.most_at_risk) == ((2.0,) * 4, 0)
    assert none.held[0] == 0
    assert none.most_at_risk == 2


def test_busy_streams_that_are_regular_predict_what_arithmetic_says() -> None:
    # Requests every 2 ms, of 2 ms each: the rest of one (1 ms on average), and one more.
    stream = [
        exchange(name, n + 1, n + 1, 0.002 * n + shift, 0, 0.002 * (n + 1) + shift)
        for name, shift in (("a", 0.0), ("b", 0.0005))
        for n in range(1000)
    ]
    first, second = predict_busy_streams(stream, 50_000, seed=1)
    # Independent rests, uniform from 0 to 2 ms: their smaller one is 2/3 on average, the other 4/3.
    assert (first, second) == pytest.approx((2 + 2 / 3, 2 + 4 / 3), rel=0.02)
    assert predict_busy_streams(stream[:9], 100, seed=1) == []


def test_delays_that_end_close_behind_another_request_are_told_from_the_others() -> None:
    # All are drawn as 0.5 ms. The second was due 0.1 ms after the first was sent, the third 0.4 ms.
    three = [
        exchange("a", 1, 1, 1.0000, 1.0006, 1.002),
        exchange("b", 1, 1, 1.0002, 1.0009, 1.002),
        exchange("c", 1, 1, 1.0008, 1.0014, 1.002),
    ]
    found = lateness_of(three)
    assert found is not None
    assert (found.share, found.close_ms, found.alone_ms) == pytest.approx((0.5, 0.2, 0.1))
    assert lateness_of(three[:2]) is None
    assert lateness_of([]) is None


def test_delays_of_a_real_distribution_follow_the_law() -> None:
    drawn = np.random.default_rng(1).uniform(0.1, 1.0, size=(20_000, 5))
    waits = Waits(np.zeros_like(drawn), drawn / 1000, drawn / 1000 + 1)
    assert waits.kth_delay_ms() == pytest.approx([0.25, 0.40, 0.55, 0.70, 0.85], rel=0.02)
