"""Read allocation documents from files of this machine: regular ones, up to a size."""

import asyncio
import os
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ibkr_rebalancer.core.errors import AllocationUnavailable
from ibkr_rebalancer.core.layout import MAX_DOCUMENT
from ibkr_rebalancer.core.policy import Account


class FileAllocations:
    """The allocation source that is a file per account."""

    async def fetch(self, account: Account) -> bytes:
        """The file that the account's URL names, at most `MAX_DOCUMENT` bytes.

        Raises:
            AllocationUnavailable: `ALLOCATION_UNAVAILABLE` or `ALLOCATION_TOO_LARGE`, with the path and what is wrong.
        """
        path = Path(unquote(urlsplit(account.allocations_url).path, errors="surrogateescape"))
        return await asyncio.to_thread(_read, path)


def _read(path: Path) -> bytes:
    try:
        # A pipe would be waited for, for ever, if it were opened to block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 (a descriptor has no path)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _unavailable(path, "it is not a regular file")
            content = file.read(MAX_DOCUMENT + 1)
    except OSError as error:
        raise _unavailable(path, error.strerror or type(error).__name__) from error
    if len(content) > MAX_DOCUMENT:
        raise AllocationUnavailable(
            "ALLOCATION_TOO_LARGE",
            f"{path} has more than {MAX_DOCUMENT // 1024} KiB.",
            hint="Check that allocations.file names the targets and not something else.",
        )
    return content


def _unavailable(path: Path, reason: str) -> AllocationUnavailable:
    return AllocationUnavailable(
        "ALLOCATION_UNAVAILABLE",
        f"The targets cannot be read from {path}: {reason}.",
        hint="Check that allocations.file in accounts.yaml names a file that this user may read; nothing was planned.",
    )
