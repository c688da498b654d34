"""Who has never met us gets from docs/quickstart.md to a dry run of an own accounts.yaml, by what stands there alone.

In an empty folder, with the installed command on the search path and nothing else set, the commands of its sections are
typed into a shell, and its files are written. The sandbox stands where the page has the gateway, read-only as there.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.commands import packaged, running_sandbox
from tests.support.sandbox import order_messages

PAGE = (Path(__file__).parent.parent / "docs" / "quickstart.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"(?ms)^## (.*?)\n(.*?)(?=^## |\Z)", PAGE))

FILES, QUESTIONS = "Three files in a folder of your own", "Ask"
COMMANDS = Path(sys.executable).parent


def commands(section: str) -> str:
    return "".join(re.findall(r"(?s)```sh\n(.*?)```", SECTIONS[section]))


def write_files(folder: Path) -> None:
    """Each file that the page names at the beginning of a paragraph, with the block that follows."""
    files = dict(re.findall(r"(?ms)^`([\w.]+)` [^`]*?\n\n```\w*\n(.*?)```", SECTIONS[FILES]))
    assert list(files) == ["accounts.yaml", "targets.csv"]
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")


def typed(text: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """What a shell makes of it that ends at the first command that fails."""
    surroundings = {"PATH": f"{COMMANDS}{os.pathsep}{os.defpath}", "HOME": str(folder.parent), "COLUMNS": "120"}
    return subprocess.run(
        ["/bin/sh", "-e"], input=text, cwd=folder, env=surroundings, capture_output=True, text=True, check=False
    )


def test_the_quick_start_leads_to_a_dry_run(tmp_path: Path) -> None:
    folder = tmp_path / "rebalancer"
    folder.mkdir()
    with running_sandbox(packaged({"read_only": True})) as sandbox:
        begin = commands(FILES)
        assert "--port 4002" in begin
        begun = typed(begin.replace("4002", str(sandbox.inside.gateway_port)), folder)
        assert begun.returncode == 0, begun.stderr
        write_files(folder)
        ended = typed(commands(QUESTIONS), folder)
        log = sandbox.log
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Plan for paper account DU123456") == 2
    assert re.search(r"^Dry run: \d+ orders planned, none sent\.", ended.stdout, re.MULTILINE)
    assert log
    assert not order_messages(log)
    assert (folder / ".env").stat().st_mode & 0o077 == 0


def test_until_the_page_says_so_every_execution_is_a_dry_run() -> None:
    before, _, after = PAGE.partition("## Trade on paper")
    assert "--yes" in after
    executions = [line for line in before.splitlines() if line.startswith("rebalancer execute")]
    assert executions
    assert all("--dry-run" in line for line in executions)
