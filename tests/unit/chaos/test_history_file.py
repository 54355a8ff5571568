"""A history that is written and read back is the same, and what is no history is refused."""

from pathlib import Path

import pytest

from tests.chaos.history import Event, HistoryError, read_history
from tests.chaos.recorder import Recorder
from tests.unit.chaos.samples import HistoryBuilder, campaign, copies, if_version


def test_read_back(tmp_path: Path) -> None:
    calls = HistoryBuilder().put("a", version=1).read("a", version=1).read(None, min_version=3)
    calls.put("b", "refused", precondition=if_version(None, None)).calls.reverse()
    with Recorder(tmp_path / "sub" / "history.jsonl", campaign()) as recorder:
        for call in calls.calls:
            recorder.call(call)
        recorder.event("began", fault=3)
        recorder.killed("leader")
        recorder.emptied("follower1")
        recorder.problem("it died")
        for copy in copies({"k": "ä"}, {"k": 1}, 1):
            recorder.copy(copy)
        recorder.end()
    history = read_history(recorder.path)
    assert history.campaign == campaign()
    assert history.calls == sorted(calls.calls, key=lambda call: call.start_ns)
    assert [event.text for event in history.events] == ["began", "problem: it died"]
    assert isinstance(history.events[0], Event)
    assert [killed.node for killed in history.killed] == ["leader"]
    assert [emptied.node for emptied in history.emptied] == ["follower1"]
    assert history.copies == copies({"k": "ä"}, {"k": 1}, 1)
    assert history.end is not None
    assert history.end.problems == ["it died"]
    assert recorder.outcomes == {"confirmed": 1, "found": 1, "absent": 1, "refused": 1}


@pytest.mark.parametrize("text", ["", "{}\n", "no json\n", '{"record":"event","at_ns":1}\n'])
def test_what_is_no_history(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(HistoryError):
        read_history(path)


def test_a_missing_file_is_no_history(tmp_path: Path) -> None:
    with pytest.raises(HistoryError):
        read_history(tmp_path / "missing")
