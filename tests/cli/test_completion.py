"""Tab completes commands and options, by the script that `--show-completion` prints, in a shell of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = Path(sys.executable).parent
BASH = shutil.which("bash")

SCRIPT = """
eval "$(_REBALANCER_COMPLETE=source_bash rebalancer)"
complete -p rebalancer
for line in 'rebalancer exe' 'rebalancer execute --dr' 'rebalancer nothing-like-it'; do
  COMP_WORDS=($line) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  _rebalancer_completion rebalancer
  echo "$line: ${COMPREPLY[*]}"
done
"""
"""What bash does when the key is pressed: it sets the words, calls the function, and reads what it left."""


@pytest.mark.skipif(BASH is None, reason="there is no bash here")
def test_bash_completes(tmp_path: Path) -> None:
    assert BASH
    ended = subprocess.run(
        [BASH, "--norc", "-c", SCRIPT],
        env={"PATH": f"{COMMANDS}{os.pathsep}{os.defpath}", "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == [
        "complete -o default -F _rebalancer_completion rebalancer",
        "rebalancer exe: execute",
        "rebalancer execute --dr: --dry-run",
        "rebalancer nothing-like-it: ",
    ]


@pytest.mark.long
@pytest.mark.parametrize(
    ("shell", "words", "offered"),
    [
        ("zsh", {"_TYPER_COMPLETE_ARGS": "rebalancer res"}, '"resolve":"'),
        ("fish", {"_TYPER_COMPLETE_ARGS": "rebalancer res", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}, "resume\t"),
    ],
)
def test_other_shells_are_answered(tmp_path: Path, shell: str, words: dict[str, str], offered: str) -> None:
    """As the scripts for them ask, which need shells that may not be here."""
    ended = subprocess.run(
        [COMMANDS / "rebalancer"],
        env={"PATH": os.defpath, "HOME": str(tmp_path), "_REBALANCER_COMPLETE": f"complete_{shell}", **words},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert offered in ended.stdout
    assert "execute" not in ended.stdout
