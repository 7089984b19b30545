"""A use case whose log and state are on Redis answers as one on the laptop's disk."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.clock import FixedClock
from holdfast.errors import ConfigError
from holdfast.loop.config import read_config
from holdfast.loop.project import Project
from tests.services import forget_redis, redis_server
from tests.simulation.tiny import NOW, stream, trained


def answers(folder: Path) -> list[Any]:
    """What the service says to some payments, and what parity says afterwards."""
    project = Project(folder, clock=FixedClock(NOW + 12 * 86_400_000_000))
    with project.service() as service:
        told = [service.predict(row) for row in stream(3, 12)]
    found = [(one.decision, one.score, one.features) for one in told]
    status = project.status()
    return [found, next(iter(status.values()))["predictions"]]


@pytest.mark.services
@redis_server
def test_the_same_bits_are_served_from_redis(tmp_path: Path) -> None:
    here, there = trained(tmp_path / "here"), trained(tmp_path / "there")
    name = f"holdfast-test:{uuid.uuid4().hex}"
    toml = f'[stores]\nonline = "redis://127.0.0.1:6379/0?prefix={name}"\n'
    (there / "holdfast.toml").write_text(toml, encoding="utf-8")
    try:
        assert answers(there) == answers(here)
        assert not (there / ".holdfast" / "online").exists()
        assert answers(there)[1] == 12  # sent again: repeated, not counted twice
    finally:
        forget_redis(f"redis://127.0.0.1/0?prefix={name}")


def test_a_password_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = 'online = "redis://:${REDIS_PASSWORD}@127.0.0.1:6379/0"'
    (tmp_path / "holdfast.toml").write_text(f"[stores]\n{url}\n", encoding="utf-8")
    monkeypatch.delenv("REDIS_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match="REDIS_PASSWORD") as missing:
        read_config(tmp_path)
    assert missing.value.code == "HF720"
    monkeypatch.setenv("REDIS_PASSWORD", "p4ss")
    assert read_config(tmp_path).online == "redis://:p4ss@127.0.0.1:6379/0"
