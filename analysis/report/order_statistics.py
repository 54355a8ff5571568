"""What the simulated delay alone costs a write, by theory."""


def mean_kth_smallest(k: int, count: int, low: float, high: float) -> float:
    """Mean of the k-th smallest of independent values from the uniform distribution.

    With one delay per follower this is how long an otherwise idle leader waits for write quorum k:
    low + (high - low) * k / (count + 1). (David and Nagaraja, *Order Statistics*, section 2.)

    :param k: 1 to ``count``; 0 means to wait for nobody.
    :param count: number of values, 1 or more.
    :param low: lower end of the distribution.
    :param high: upper end, in the same unit.
    :return: the mean in that unit; 0 for k = 0.
    :raises ValueError: when there is no k-th smallest.
    """
    if not 0 <= k <= count:
        raise ValueError(f"there is no {k}-th smallest of {count}")
    return low + (high - low) * k / (count + 1) if k > 0 else 0.0
