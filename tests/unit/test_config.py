"""Settings: defaults, what is accepted, and what stops the start."""

import re
from itertools import zip_longest
from pathlib import Path

import pytest

from kvstore.config import NAMES, VARIABLES, load_settings
from kvstore.core.errors import SettingsError

ROOT = Path(__file__).parents[2]
LONGEST_LABEL = "a" * 63
ADDRESSES = (f"{LONGEST_LABEL}.a:1", "[fe80::1%eth0]:2", "7.b:3")
NO_HOSTS = ["a..b", ".a", "a..", "-a", "a-.b", "b\u00fccher", "a%41", "a b"]
NO_HOSTS += ["256.0.0.1", "127.0.0.1.1", f"{LONGEST_LABEL}a", ".".join([LONGEST_LABEL] * 4)]
LEADER = {"ROLE": "leader", "FOLLOWERS": "127.0.0.1:5001,127.0.0.1:5002"}


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as found:
        load_settings(environ)
    return found.value.problems


def test_defaults_of_a_follower() -> None:
    settings = load_settings({"ROLE": "  ", "PORT": ""})
    assert (settings.role, settings.followers, settings.write_quorum) == ("follower", (), 0)
    assert settings.advertise_url == "http://127.0.0.1:5000"
    assert (settings.min_delay_ms, settings.max_delay_ms) == (0.1, 1.0)
    assert settings.repl_timeout_s == 2.0
    assert (settings.data_dir, settings.cluster_token) == (None, None)


@pytest.mark.parametrize(
    ("environ", "name", "value"),
    [
        (LEADER, "write_quorum", 1),
        ({"ROLE": "leader"}, "write_quorum", 0),
        ({**LEADER, "WRITE_QUORUM": "0"}, "write_quorum", 0),
        ({**LEADER, "WRITE_QUORUM": "2"}, "write_quorum", 2),
        ({"HOST": "::1"}, "advertise_url", "http://[::1]:5000"),
        ({"HOST": "db_1.example", "PORT": "65535"}, "advertise_url", "http://db_1.example:65535"),
        ({"HOST": "fe80::1%eth0"}, "host", "fe80::1%eth0"),
        ({"HOST": "node-1.example."}, "host", "node-1.example."),
        ({"ADVERTISE_URL": "https://leader:443/"}, "advertise_url", "https://leader:443"),
        ({"ADVERTISE_URL": "http://[::1]/kv"}, "advertise_url", "http://[::1]/kv"),
        ({"ROLE": "leader", "FOLLOWERS": " a:1 , [::1]:2"}, "followers", ("a:1", "[::1]:2")),
        ({**LEADER, "FOLLOWERS": ",".join(ADDRESSES)}, "followers", ADDRESSES),
        ({"FOLLOWERS": "a:1"}, "followers", ()),
        ({"MIN_DELAY": "0", "MAX_DELAY": "0"}, "max_delay_ms", 0.0),
        ({"MAX_DELAY": "1999.9"}, "max_delay_ms", 1999.9),
        ({"REPL_TIMEOUT": "0.5"}, "repl_timeout_s", 0.5),
        ({"DATA_DIR": "/data/node"}, "data_dir", Path("/data/node")),
        ({"MAX_KEY_BYTES": "2048"}, "max_key_bytes", 2048),
        ({"LOG_RETAIN": "1"}, "log_retain", 1),
        ({"CLUSTER_TOKEN": " secret "}, "cluster_token", "secret"),
    ],
)
def test_accepted(environ: dict[str, str], name: str, value: object) -> None:
    assert getattr(load_settings(environ), name) == value


def test_any_address_is_advertised_by_the_host_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "machine7")
    assert load_settings({"HOST": "::", "PORT": "5001"}).advertise_url == "http://machine7:5001"


WRONG = {
    "ROLE": ["master", "Leader"],
    "HOST": ["a b"],
    "PORT": ["0", "65536", "5_000", "\u0665"],
    "ADVERTISE_URL": ["leader:5000", "ftp://leader", "http://leader:70000", "http://[::1"],
    "FOLLOWERS": [
        *("a", "a:1,,b:1", "a:x", "a:70000", "http://a:1", "me@a:1", "a:1,a:1"),
        *("[::1]a:1", "[v1.a]:1", "[127.0.0.1]:1", "::1:1", "a:1/b"),
    ],
    "WRITE_QUORUM": ["3", "-1", "1.0"],
    "MIN_DELAY": ["-1", "nan", "2"],
    "MAX_DELAY": ["inf", "2000"],
    "REPL_TIMEOUT": ["soon"],
    "MAX_KEY_BYTES": ["0", "4096"],
    "MAX_VALUE_BYTES": ["99999999999"],
    "LOG_RETAIN": ["0"],
    "CLUSTER_TOKEN_FILE": ["/nowhere/token"],
}


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        *(({**LEADER, name: value}, name) for name, values in WRONG.items() for value in values),
        ({**LEADER, "PORT": "5001"}, "FOLLOWERS"),
        ({"ROLE": "leader", "WRITE_QUORUM": "1"}, "WRITE_QUORUM"),
        ({"MAX_DELAY": "500", "REPL_TIMEOUT": "0.5"}, "MAX_DELAY"),
        ({"REPL_TIMEOUT": "0", "MIN_DELAY": "0", "MAX_DELAY": "0"}, "REPL_TIMEOUT"),
        ({"CLUSTER_TOKEN": "two words"}, "token"),
        ({"CLUSTER_TOKEN": "a", "CLUSTER_TOKEN_FILE": __file__}, "not both"),
    ],
    ids=str,
)
def test_refused_by_name(environ: dict[str, str], named: str) -> None:
    assert any(named in problem for problem in problems(environ))


@pytest.mark.parametrize("host", [*NO_HOSTS, "1::2::3", "::1%", "::1%a b"])
def test_what_is_no_host(host: str) -> None:
    bracketed = f"[{host}]" if ":" in host else host
    environ = {
        "HOST": host,
        "ADVERTISE_URL": f"http://{bracketed}:5000",
        "FOLLOWERS": f"{bracketed}:5000",
    }
    found = problems({**environ, "ROLE": "leader"})
    names = [problem.partition("=")[0] for problem in found]
    assert names == ["HOST", "ADVERTISE_URL", "FOLLOWERS"]
    assert all("nor a host name" in problem or "http://host:port" in problem for problem in found)


def test_every_wrong_follower_is_named_and_nothing_that_only_follows_from_it() -> None:
    [problem] = problems({**LEADER, "FOLLOWERS": "a..b:1,c:1,d", "WRITE_QUORUM": "3"})
    assert "'a..b' is neither an IP address nor a host name" in problem
    assert "'d' is not host:port" in problem
    assert "'c" not in problem


def test_every_problem_is_named_at_once() -> None:
    found = problems(
        {"ROLE": "boss", "PORT": "x", "MIN_DELAY": "5", "MAX_DELAY": "1", "LOG_RETAIN": "no"}
    )
    assert len(found) == 4
    assert all(name in str(found) for name in ("ROLE", "PORT", "MIN_DELAY", "LOG_RETAIN"))


@pytest.mark.parametrize(
    ("content", "token"), [(b"secret\n", "secret"), (b"", None), (b" \n", None), (b"\xff", None)]
)
def test_token_file(tmp_path: Path, content: bytes, token: str | None) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    environ = {"CLUSTER_TOKEN_FILE": str(path)}
    if token is None:
        assert "CLUSTER_TOKEN_FILE" in str(problems(environ))
    else:
        assert load_settings(environ).cluster_token == token


def test_token_shows_up_nowhere() -> None:
    secret = "hunter2 with spaces"
    assert secret not in str(problems({"CLUSTER_TOKEN": secret}))
    assert "hunter2" not in repr(load_settings({"CLUSTER_TOKEN": "hunter2"}))


def documented() -> dict[str, str]:
    """The defaults by the names in the README's table."""
    table = (ROOT / "README.md").read_text("utf-8").split("\n## Settings\n")[1].split("\n## ")[0]
    defaults: dict[str, str] = {}
    for row in re.findall(r"^\| (`.*?) \|(.*?)\|", table, re.MULTILINE):
        names, texts = (re.sub("[` ]", "", cell).split(",") for cell in row)
        defaults |= dict(zip_longest(names, texts[: len(names)], fillvalue=""))
    return defaults


def test_the_readme_lists_every_setting_and_its_default() -> None:
    defaults = documented()
    assert defaults.keys() == NAMES
    for variable in VARIABLES.values():
        if variable.default is not None:
            assert defaults[variable.name] == str(variable.default or ""), variable


@pytest.mark.parametrize("file", ["docker-compose.yml", "docker-compose.token.yml"])
def test_compose_sets_nothing_that_no_node_reads(file: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    assigned = set(re.findall(r"^[^#\n]*?\b([A-Z][A-Z_]+):(?=\s)", text, re.MULTILINE))
    # Those of Grafana, and of the live page.
    of_nodes = {name for name in assigned if not name.startswith(("GF_", "PLAY_"))}
    assert of_nodes
    assert of_nodes <= NAMES
