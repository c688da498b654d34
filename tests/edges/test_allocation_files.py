"""Targets in files: what is read, and what is refused before anybody waits for it."""

import asyncio
import os
from pathlib import Path

import pytest

from ibkr_rebalancer.core.errors import AllocationUnavailable
from ibkr_rebalancer.core.layout import MAX_DOCUMENT
from ibkr_rebalancer.core.policy import Account
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.edges.allocation_files import FileAllocations

HINT = "Check that allocations.file in accounts.yaml names a file that this user may read; nothing was planned."


async def fetch(path: Path) -> bytes:
    account = Account(account_id=AccountId("DU1"), channel="targets", allocations_url=path.as_uri())
    async with asyncio.timeout(10):
        return await FileAllocations().fetch(account)


async def failure(path: Path) -> tuple[str, str, str]:
    with pytest.raises(AllocationUnavailable) as caught:
        await fetch(path)
    assert caught.value.exit_code == 23
    return caught.value.code, caught.value.message, caught.value.hint


@pytest.mark.parametrize("name", ["targets.csv", "my targets #1?.csv", "цели%41.json"])
@pytest.mark.parametrize("content", [b"", b"symbol\xff\r\n\x00", b"x" * MAX_DOCUMENT])
async def test_a_file_is_read_as_it_is(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert await fetch(tmp_path / name) == content


async def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "today").write_bytes(b"x")
    (tmp_path / "targets.csv").symlink_to("today")
    assert await fetch(tmp_path / "targets.csv") == b"x"


async def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "targets.csv"
    reason = f"The targets cannot be read from {path}: No such file or directory."
    assert await failure(path) == ("ALLOCATION_UNAVAILABLE", reason, HINT)


async def test_what_is_no_file(tmp_path: Path) -> None:
    """A pipe that nobody writes into would be waited for."""
    folder, pipe = tmp_path / "folder.csv", tmp_path / "pipe.csv"
    folder.mkdir()
    os.mkfifo(pipe)
    for path, reason in ((folder, "Is a directory"), (pipe, "it is not a regular file")):
        assert await failure(path) == (
            "ALLOCATION_UNAVAILABLE",
            f"The targets cannot be read from {path}: {reason}.",
            HINT,
        )
    _, message, _ = await failure(Path("/dev/zero"))
    assert message == "The targets cannot be read from /dev/zero: it is not a regular file."


async def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "targets.csv"
    path.write_bytes(b"x" * (MAX_DOCUMENT + 1))
    assert await failure(path) == (
        "ALLOCATION_TOO_LARGE",
        f"{path} has more than 1024 KiB.",
        "Check that allocations.file names the targets and not something else.",
    )
