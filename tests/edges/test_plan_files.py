"""Plan files on a real disk: whole, private, and nobody else's file in their place."""

import json
import os
from pathlib import Path

import pytest
from tests.support.trading import planned

from ibkr_rebalancer.core.documents import document
from ibkr_rebalancer.core.errors import ConfigError, RebalancerError
from ibkr_rebalancer.core.plan_document import sealed
from ibkr_rebalancer.edges.plan_files import MAX_BYTES, keep_plans, load_plans, require_room

_, PLAN = planned("DU1 cash 1_000; 300 AAA @10; BBB @20", "AAA 20; BBB 80")
CONTENT = sealed(document("plan", plans=[PLAN], errors=[]))


def refused(path: Path, *, reading: bool = False) -> str:
    """The sentence of the refusal."""
    with pytest.raises(RebalancerError) as raised:
        load_plans(path) if reading else require_room(path)
    assert raised.value.exit_code == 2
    return f"{raised.value.code}: {raised.value.message}"


def test_plans_are_kept_for_their_owner_alone_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    umask = os.umask(0)
    try:
        keep_plans(path, CONTENT)
    finally:
        os.umask(umask)
    assert load_plans(path).plans == (PLAN,)
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text(encoding="utf-8")) == CONTENT
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("there", ['{"schema": "rebalancer.plan/1", "plans": "of last week"}', ""])
def test_older_plans_and_empty_files_are_replaced(tmp_path: Path, there: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(there, encoding="utf-8")
    keep_plans(path, CONTENT)
    assert load_plans(path).plans == (PLAN,)


@pytest.mark.parametrize(
    "there", ["- account_id: DU1\n", '{"schema": "rebalancer.run/1"}', '{"schema": "rebalancer.pl']
)
def test_no_other_file_is_replaced(tmp_path: Path, there: str) -> None:
    path = tmp_path / "accounts.yaml"
    path.write_text(there, encoding="utf-8")
    assert refused(path) == (
        f"OUTPUT_FAILED: The plans cannot be kept in {path}: "
        "it exists, and is no plan file that a newer one may replace."
    )
    with pytest.raises(RebalancerError):
        keep_plans(path, CONTENT)
    assert path.read_text(encoding="utf-8") == there


def test_where_nothing_can_be_kept_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "loose").symlink_to("nowhere")
    assert refused(tmp_path / "no" / "plan.json").endswith(f"plan.json: {tmp_path}/no is no folder.")
    (tmp_path / "link").symlink_to("old")
    keep_plans(tmp_path / "old", CONTENT)
    for path in (tmp_path, tmp_path / "loose", tmp_path / "link", Path("/dev/null")):
        assert refused(path).endswith("it exists, and is no plan file that a newer one may replace.")


def test_a_disk_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.json"
    keep_plans(path, CONTENT)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RebalancerError, match=r"plan\.json: No space left on device\.$"):
        keep_plans(path, sealed(document("plan", plans=[], errors=[])))
    assert load_plans(path).plans == (PLAN,)
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_read_is_said_with_its_reason(tmp_path: Path) -> None:
    missing = tmp_path / "plan.json"
    assert refused(missing, reading=True) == (
        f"PLAN_FILE_UNREADABLE: {missing} cannot be read: No such file or directory. Nothing was sent."
    )
    assert refused(tmp_path, reading=True).endswith("cannot be read: Is a directory. Nothing was sent.")


def test_no_more_is_read_than_any_plan_has() -> None:
    assert refused(Path("/dev/zero"), reading=True) == (
        f"PLAN_FILE_INVALID: /dev/zero is no plan to carry out: it is larger than {MAX_BYTES:,} bytes. "
        "Nothing was sent."
    )


def test_what_everybody_may_write_is_nobodys_plan(tmp_path: Path) -> None:
    """One user may make plans for another, or for a group."""
    path = tmp_path / "plan.json"
    keep_plans(path, CONTENT)
    path.chmod(0o666)
    with pytest.raises(ConfigError) as raised:
        load_plans(path)
    assert raised.value.code == "INSECURE_PATH"
    assert raised.value.message == (
        f"Every user of this machine may write {path}, and so decide what is traded. Nothing was sent."
    )
    path.chmod(0o664)
    assert load_plans(path).plans == (PLAN,)
