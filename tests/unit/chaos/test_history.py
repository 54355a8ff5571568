"""A history that is written is read back the same; and ``python -m tests.chaos check FILE``."""

from pathlib import Path

import pytest

from tests.chaos.__main__ import main
from tests.chaos.history import HistoryError, NodeCopy, expand, read_history, shorten
from tests.chaos.recorder import Recorder
from tests.unit.chaos.samples import CAMPAIGN, IF_ABSENT, HistoryBuilder, copies

HELD = copies({"k": "b"}, {"k": 2}, 2)


def write_history(folder: Path, history: HistoryBuilder, held: list[NodeCopy]) -> str:
    with Recorder(folder / "history.jsonl", CAMPAIGN) as recorder:
        for operation in reversed(history.operations):
            recorder.operation(operation)
        recorder.event("began", fault=3)
        for killed in history.killed:
            recorder.killed(killed.node)
        for emptied in history.emptied:
            recorder.emptied(emptied.node)
        for copy in held:
            recorder.copy(copy)
        recorder.end()
    return str(recorder.path)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    written = HistoryBuilder().put("ä", 1).read(None, min_version=3)
    written.refused_put("b", precondition=IF_ABSENT).empty("follower1")
    read = read_history(Path(write_history(tmp_path, written, HELD)))
    assert (read.campaign, read.operations, read.copies) == (CAMPAIGN, written.operations, HELD)
    assert [killed.node for killed in read.killed] == ["follower1"]
    assert [emptied.node for emptied in read.emptied] == ["follower1"]
    assert read.end is not None
    assert read.end.problems == []


@pytest.mark.parametrize("text", ["", "{}\n", "no json\n", '{"record":"end","at_ns":1}\n', None])
def test_what_is_no_history(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "file").write_text(text, encoding="utf-8")
    with pytest.raises(HistoryError):
        read_history(tmp_path / "file")


@pytest.mark.parametrize(
    ("long", "short"),
    [
        ("a+b", "a+b"),
        ("name+3...", "name+3"),
        ("name+3..", "name+3 and 2 dots"),
        ("name+3....", "name+3 and 4 dots"),
        ("name+3", "name+3 and 0 dots"),
    ],
)
def test_a_damaged_long_value_is_told_apart(long: str, short: str) -> None:
    assert shorten(long) == short
    assert " and " in short or expand(short) == long


def test_a_good_history_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = HistoryBuilder().put("a", 1).put("b", 2).read("b", 2)
    assert main(["check", write_history(tmp_path, history, HELD)]) == 0
    printed = capsys.readouterr().out
    assert "PASSED" in printed
    assert "3 operations: 2 confirmed, 1 found" in printed


def test_a_bad_history_fails_and_names_the_operations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = HistoryBuilder().put("a", 1).put("b", 2).read("a", 1)
    for version in range(100, 120):
        history.put(f"v{version}", version, replicas=0, key="other")
    assert main(["check", write_history(tmp_path, history, HELD)]) == 1
    printed = capsys.readouterr().out
    assert "FAILED: " in printed
    assert "#3 c read k on leader" in printed
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
