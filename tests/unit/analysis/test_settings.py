from pathlib import Path

import pytest

from analysis.study.settings import parse_settings

RUNNING = ["--leader", "http://l:5000/", "--followers", "http://a:5000,http://b:5000/"]


def test_the_default_is_a_study_of_six_local_nodes() -> None:
    settings = parse_settings([])
    assert settings.is_local
    assert settings.follower_count == 5
    assert settings.quorums == (1, 2, 3, 4, 5)
    # Five repeats: 5,000 writes for each write quorum.
    assert (settings.repeats, settings.writes, settings.keys) == (5, 1000, 100)
    assert (settings.users, settings.workers) == (15, 0)
    assert settings.delay_ms == (0.1, 1.0)
    assert settings.folder.name == "results"
    assert settings.folder.is_absolute()
    assert parse_settings(["--output", "here"]).folder == Path.cwd() / "here"


def test_a_size_sets_what_is_not_given() -> None:
    assert parse_settings(["--quick"]).quorums == (1, 3, 5)
    full = parse_settings(["--full", "--repeats=2"])
    assert (full.writes, full.repeats, full.thorough) == (10_000, 2, True)
    assert not parse_settings([]).thorough


def test_a_running_cluster_keeps_its_delay_unless_one_is_given() -> None:
    settings = parse_settings([*RUNNING, "--quorums", "2,1"])
    assert settings.leader_url == "http://l:5000"
    assert settings.follower_urls == ("http://a:5000", "http://b:5000")
    assert settings.quorums == (2, 1)
    assert settings.delay_ms is None
    delay = ["--min-delay-ms", "0", "--max-delay-ms", "2.5"]
    assert parse_settings([*RUNNING, "--quorums", "1", *delay]).delay_ms == (0.0, 2.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--leader", "http://l:1"], "both --leader and --followers"),
        (["--followers", "http://f:1"], "both --leader and --followers"),
        (["--leader", "l:1", "--followers", "http://f:1"], "not an http:// or https:// URL"),
        (RUNNING, "write quorum 5 needs more followers than the 2"),
        (["--quorums", "6"], "write quorum 6 needs more followers than the 5"),
        (["--quorums", "1,1"], "names a quorum twice"),
        (["--quorums", "1,x"], "not a whole number"),
        (["--quorums", "-1"], "not a whole number"),
        (["--quorums", ""], "not a whole number"),
        (["--quick", "--full"], "not allowed with"),
        (["--workers", "3", "--users", "2"], "each of the --workers needs one"),
        (["--join-port", "5557"], "say how many will join"),
        (["--workers", "2", "--join-port", "65536"], "must be from 1 to 65535"),
        (["--writes", "0"], "must be 1 or more"),
        (["--users", "1.5"], "not a whole number"),
        (["--keys", "²"], "not a whole number"),
        (["--min-delay-ms", "1"], "both --min-delay-ms and --max-delay-ms"),
        (["--min-delay-ms", "2", "--max-delay-ms", "1"], "0 <= min <= max"),
        (["--converge-timeout-s", "nan"], "not a positive number of seconds"),
        (["--converge-timeout-s", "0"], "not a positive number of seconds"),
        (["--min-delay-ms", "nan", "--max-delay-ms", "1"], "0 <= min <= max"),
    ],
)
def test_a_wrong_command_line_is_refused_with_its_reason(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_settings(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
