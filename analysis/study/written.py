"""Does the leader hold what a load has written?"""

from analysis.nodes.copies import Copy
from analysis.study.write_plan import WritePlan


def why_not_written(copy: Copy, plan: WritePlan, before_index: int) -> list[str]:
    """Look for every key of a load in the leader's copy.

    A key must be there, with a value that the load wrote to it, and with a version of the load.

    :param copy: the leader's copy after the load.
    :param plan: what the load wrote.
    :param before_index: the leader's last index before the load.
    :return: what is wrong, empty when nothing is.
    """
    missing, foreign, old = 0, 0, 0
    for key, values in plan.values_by_key().items():
        if key not in copy.store:
            missing += 1
        else:
            foreign += type(copy.store[key]) is not int or copy.store[key] not in values
            old += copy.versions.get(key, 0) <= before_index
    problems = {
        "keys are missing on the leader": missing,
        "keys on the leader have a value that was not written to them": foreign,
        "keys on the leader have a version from before the load": old,
    }
    return [f"{count} {what}" for what, count in problems.items() if count]
