"""Plan files on a real disk: what cannot be read, is too large, or anybody may have written."""

import json
from pathlib import Path

import pytest
from tests.support.trading import planned

from ibkr_rebalancer.core.documents import document
from ibkr_rebalancer.core.errors import ConfigError, UsageError
from ibkr_rebalancer.core.plan_document import sealed
from ibkr_rebalancer.edges.plan_files import MAX_BYTES, load_plans

_, PLAN = planned("DU1 cash 1_000; 300 AAA @10; BBB @20", "AAA 20; BBB 80")


def refused(path: Path) -> str:
    """The sentence of the refusal."""
    with pytest.raises(UsageError) as raised:
        load_plans(path)
    return f"{raised.value.code}: {raised.value.message}"


def test_what_cannot_be_read_is_said_with_its_reason(tmp_path: Path) -> None:
    missing = tmp_path / "plan.json"
    assert refused(missing) == (
        f"PLAN_FILE_UNREADABLE: {missing} cannot be read: No such file or directory. Nothing was sent."
    )
    assert refused(tmp_path).endswith("cannot be read: Is a directory. Nothing was sent.")


def test_no_more_is_read_than_any_plan_has() -> None:
    assert refused(Path("/dev/zero")) == (
        f"PLAN_FILE_INVALID: /dev/zero is no plan to carry out: it is larger than {MAX_BYTES:,} bytes. "
        "Nothing was sent."
    )


def test_what_everybody_may_write_is_nobodys_plan(tmp_path: Path) -> None:
    """One user may make plans for another, or for a group."""
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(sealed(document("plan", plans=[PLAN], errors=[]))), encoding="utf-8")
    path.chmod(0o666)
    with pytest.raises(ConfigError) as raised:
        load_plans(path)
    assert raised.value.code == "INSECURE_PATH"
    assert raised.value.message == (
        f"Every user of this machine may write {path}, and so decide what is traded. Nothing was sent."
    )
    path.chmod(0o664)
    assert load_plans(path).plans == (PLAN,)
