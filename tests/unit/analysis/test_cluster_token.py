"""The study sends the cluster's token, wherever it is set."""

from pathlib import Path

import pytest

from analysis.nodes.cluster_token import token_headers


def test_token_from_its_variable_or_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLUSTER_TOKEN", raising=False)
    monkeypatch.delenv("CLUSTER_TOKEN_FILE", raising=False)
    assert token_headers() == {}
    monkeypatch.setenv("CLUSTER_TOKEN", "secret")
    assert token_headers() == {"Authorization": "Bearer secret"}
    monkeypatch.delenv("CLUSTER_TOKEN")
    (tmp_path / "token").write_text("from-file\n", "ascii")
    monkeypatch.setenv("CLUSTER_TOKEN_FILE", str(tmp_path / "token"))
    assert token_headers() == {"Authorization": "Bearer from-file"}
