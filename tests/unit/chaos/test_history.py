"""``python -m tests.chaos``: a kept history is judged again, and wrong arguments are refused."""

from pathlib import Path

import pytest

from tests.chaos.__main__ import main
from tests.chaos.history import History, brief, read_history, save_history
from tests.unit.chaos.samples import FOLLOWER, IF_ABSENT, HistoryBuilder, held


def check_again(history: History, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Write a history down, read it back, and judge it; returns what is printed."""
    path = folder / "history.json"
    save_history(history, path)
    assert read_history(path) == history
    code = main(["--check", str(path)])
    printed = capsys.readouterr().out
    assert (code == 0) == ("PASSED" in printed)
    return printed


def test_a_good_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = HistoryBuilder().put("\u00e4", 1).empty("follower1").read(None, **FOLLOWER)
    written.put("b", 2).refused_put("c", precondition=IF_ABSENT).read("b", 2, min_version=2)
    printed = check_again(written.history(held({"k": "b"}, 2)), tmp_path, capsys)
    assert "5 operations: 1 absent, 2 confirmed, 1 found, 1 refused" in printed
    assert "PASSED" in printed


def test_a_bad_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = HistoryBuilder().put("a", 1).put("b", 2).read("a", 1)
    for version in range(100, 120):
        written.put(f"v{version}", version, replicas=0, key="other")
    printed = check_again(written.history(held({"k": "b"}, 2)), tmp_path, capsys)
    assert "FAILED: " in printed
    assert "#3 c read k on leader" in printed
    assert printed.count("confirmed too early") == 4
    assert "(16 more like this)" in printed


def test_a_damaged_long_value_is_told_apart() -> None:
    whole = "." * 1000
    assert brief("short") == "short"
    assert len(brief(whole)) < 100
    assert len({brief(whole), brief(whole + "."), brief(whole[:-1]), brief(whole[:-1] + "x")}) == 4


@pytest.mark.parametrize(
    "arguments",
    [
        ["--check", "/nowhere/history.json"],
        ["--check", __file__],
        ["--write-quorum", "3", "--followers", "2"],
        ["--write-quorum", "0"],
        ["--seconds", "-1"],
        ["--seconds", "inf"],
    ],
)
def test_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err
