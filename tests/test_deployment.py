"""What is deployed is as it is said to be: the container files, the units, the locked versions.

That they work is tried for real by script/try_container and script/try_service, which need an engine or root.
"""

import json
import re
import shutil
import subprocess
import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ibkr_rebalancer.config.schema import ENVIRONMENT

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
UNITS = ("rebalancer-watch.service", "rebalancer-dry-run.service")
MOST_EXPOSED = 15
"""Tenths, as systemd-analyze counts."""


def compose(*names: str) -> dict[str, Any]:
    return {name: yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))["services"] for name in names}


def test_the_stack_publishes_nothing_and_ours_is_locked_down() -> None:
    services = compose("compose.yaml")["compose.yaml"]
    assert not [name for name, service in services.items() if "ports" in service]
    ours = services["portfolio-rebalancer"]
    assert ours["read_only"]
    assert ours["cap_drop"] == ["ALL"]
    assert ours["security_opt"] == ["no-new-privileges:true"]


def test_without_the_second_file_nothing_can_trade() -> None:
    files = compose("compose.yaml", "compose.trade.yaml")
    dry, trade = files["compose.yaml"], files["compose.trade.yaml"]
    assert dry["portfolio-rebalancer"]["command"] == ["watch", "--dry-run"]
    assert dry["ib-gateway"]["environment"]["READ_ONLY_API"] == "yes"
    assert trade == {
        "ib-gateway": {"environment": {"READ_ONLY_API": "no"}},
        "portfolio-rebalancer": {"command": ["watch"]},
    }


def test_no_secret_is_in_the_environment_of_the_containers() -> None:
    secrets = {name for name, key in ENVIRONMENT.items() if key.secret} | {"TWS_PASSWORD"}
    for services in compose(*(path.name for path in DEPLOY.glob("compose*.yaml"))).values():
        for service in services.values():
            assert not secrets & service.get("environment", {}).keys()


def test_the_variables_that_ours_is_given_are_read() -> None:
    given = compose("compose.yaml")["compose.yaml"]["portfolio-rebalancer"]["environment"]
    unit = re.findall(r"^Environment=(\w+)=", (DEPLOY / "systemd" / UNITS[0]).read_text(encoding="utf-8"), re.MULTILINE)
    assert {name.removesuffix("_FILE") for name in [*given, *unit]} <= ENVIRONMENT.keys()


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_hardly_exposed(name: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    asked = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", f"{DEPLOY}/systemd/{name}"]
    ended = subprocess.run(asked, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_what_the_trial_of_the_container_looks_at_is_what_status_tells() -> None:
    """It runs only where there is an engine, and what it reads may change here."""
    schema = json.loads((ROOT / "src/ibkr_rebalancer/schemas/status.json").read_text(encoding="utf-8"))
    trial = (ROOT / "script/try_container").read_text(encoding="utf-8")
    read = re.findall(r'rebalancer\(environment, "status"\)\["(\w+)"\]', trial)
    assert read
    assert set(read) <= set(schema["required"])
    assert set(re.findall(r'done\["(\w+)"\]', trial)) <= set(schema["$defs"]["done"]["required"])


def test_the_units_are_locked_down_alike() -> None:
    texts = [(DEPLOY / "systemd" / name).read_text(encoding="utf-8") for name in UNITS]
    first, second = (text[text.index("NoNewPrivileges") :].partition("\n[Install]")[0].strip() for text in texts)
    assert first == second


def test_the_service_trades_only_with_its_drop_in() -> None:
    def command(name: str) -> str:
        unit = ConfigParser(strict=False, interpolation=None)
        unit.read(DEPLOY / "systemd" / name)
        return unit["Service"]["ExecStart"].rpartition("bin/")[2]

    assert command("rebalancer-watch.service") == "rebalancer watch --dry-run"
    assert command("rebalancer-dry-run.service") == "rebalancer execute --dry-run --json"
    assert command("trade.conf") == "rebalancer watch"


def test_the_locked_versions_are_allowed_and_complete() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for lock, wanted in (
        ("requirements.lock", project["project"]["dependencies"]),
        ("build.lock", project["build-system"]["requires"]),
    ):
        text = (DEPLOY / lock).read_text(encoding="utf-8")
        versions = {canonicalize_name(n): v for n, v in re.findall(r"^([\w.-]+)==([\w.+]+)", text, re.MULTILINE)}
        for requirement in map(Requirement, wanted):
            assert versions[canonicalize_name(requirement.name)] in requirement.specifier, requirement
        assert text.count("==") <= text.count("--hash=sha256:")
        assert "://" not in text
