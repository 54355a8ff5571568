"""``python -m tests.chaos check FILE``: the verdict on a kept history, and its exit code."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.__main__ import main
from tests.chaos.history import NodeCopy
from tests.chaos.recorder import Recorder
from tests.unit.chaos.samples import HistoryBuilder, campaign, copies

HELD = copies({"k": "b"}, {"k": 2}, 2)
Keep = Callable[[HistoryBuilder, list[NodeCopy]], str]


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    """Writes a history file; returns its path."""

    def keep(calls: HistoryBuilder, held: list[NodeCopy]) -> str:
        with Recorder(tmp_path / "history.jsonl", campaign()) as recorder:
            for call in calls.calls:
                recorder.call(call)
            for copy in held:
                recorder.copy(copy)
            recorder.end()
        return str(recorder.path)

    return keep


def test_a_good_history(keep: Keep, capsys: pytest.CaptureFixture[str]) -> None:
    calls = HistoryBuilder().put("a", version=1).put("b", version=2).read("b", version=2)
    assert main(["check", keep(calls, HELD)]) == 0
    printed = capsys.readouterr().out
    assert "PASSED" in printed
    assert "3 calls: 2 confirmed, 1 found" in printed


def test_a_bad_history(keep: Keep, capsys: pytest.CaptureFixture[str]) -> None:
    calls = HistoryBuilder().put("a", version=1).put("b", version=2).read("a", version=1)
    assert main(["check", keep(calls, HELD)]) == 1
    printed = capsys.readouterr().out
    assert "FAILED: 1 findings" in printed
    assert "#3 c read k on leader" in printed, "the verdict names the violating calls"


def test_many_findings_of_one_kind_are_cut_short(
    keep: Keep, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = HistoryBuilder().put("a", version=1).put("b", version=2).read("b", version=2)
    for _ in range(20):
        calls.put(
            "x" * (len(calls.calls) + 1), "confirmed", version=100 + len(calls.calls), replicas=0
        )
    main(["check", keep(calls, HELD)])
    printed = capsys.readouterr().out
    assert printed.count("confirmed too early") == 4
    assert "(16 more like this)" in printed


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "/nowhere/history.jsonl"],
        ["--write-quorum", "3", "--followers", "2"],
        ["--write-quorum", "0"],
        ["--seconds", "-1"],
        ["--clients", "none"],
    ],
)
def test_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err
