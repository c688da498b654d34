"""Plans as the document `rebalancer.plan/1`, and back. Pure.

What is printed by `rebalancer plan --json` and kept by `rebalancer plan -o` is read back here to be carried out. Its
`digest` is that of everything else in it, so that no plan that was changed passes for the one that was made. It is no
signature: who may write the file may write another plan.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ibkr_rebalancer.core.documents import decode, digest_of_json, encode
from ibkr_rebalancer.core.errors import Refused, UsageError
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.portfolio import AccountId

SCHEMA = "rebalancer.plan/1"
DIGEST = "digest"

HINT = "Make one with `rebalancer plan -o FILE`, and leave it as it is."


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplanned:
    """Why an account has no plan in the document."""

    account: AccountId
    code: str
    message: str
    hint: str
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDocument:
    """What a document of plans says: its members in their order."""

    schema: str
    plans: tuple[Plan, ...]
    errors: tuple[Unplanned, ...]
    digest: str


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the digest of all that is in it."""
    return {**content, DIGEST: digest_of_json(content)}


def read_plans(body: bytes, *, file: str) -> PlanDocument:
    """The plans of a document exactly as they were made; `file` is where it was found.

    Raises:
        UsageError: it is no such document, or holds no plan, or not as this version writes them (`PLAN_FILE_INVALID`).
        Refused: it is one, and has been changed since (`PLAN_EDITED`).
    """
    content = _content(body, file)
    said = content.get("schema")
    if said != SCHEMA:
        raise _invalid(file, f"its schema is {_shown(said)}, not {SCHEMA}")
    if DIGEST not in content:
        raise _invalid(file, "it has no digest, so nobody can tell whether it is as it was made")
    if sealed({key: value for key, value in content.items() if key != DIGEST}) != content:
        raise Refused(
            "PLAN_EDITED",
            f"{file} is not as it was made: its digest is {_shown(content[DIGEST])}, which fits other content. "
            "Nothing was sent.",
            hint="Make a new plan with `rebalancer plan -o FILE`. What it should decide differently belongs into the "
            "targets, or into accounts.yaml.",
        )
    read = _decoded(content, file)
    if not read.plans:
        reasons = " ".join(f"{each.account}: {each.message}" for each in read.errors)
        raise _invalid(file, f"it holds no plan{'. ' if reasons else ''}{reasons.removesuffix('.')}")
    return read


def _content(body: bytes, file: str) -> Mapping[str, Any]:
    try:
        content = json.loads(body)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _invalid(file, f"it is no JSON, or cut off: {where}" if body.strip() else "it is empty") from error
    except (ValueError, RecursionError) as error:
        raise _invalid(file, "it is no JSON") from error
    if not isinstance(content, dict):
        raise _invalid(file, "it is no JSON object")
    return content


def _decoded(content: Mapping[str, Any], file: str) -> PlanDocument:
    """The values, if they are all that the document says."""
    try:
        read: PlanDocument = decode(PlanDocument, dict(content))
    except (ValueError, TypeError) as error:
        raise _invalid(file, "another version of rebalancer has written it") from error
    accounts = [plan.account for plan in read.plans]
    if encode(read) != content or len(set(accounts)) < len(accounts):
        raise _invalid(file, "another version of rebalancer has written it")
    return read


def _shown(value: object) -> str:
    return ascii(value)[:60] if value is not None else "missing"


def _invalid(file: str, why: str) -> UsageError:
    return UsageError("PLAN_FILE_INVALID", f"{file} is no plan to carry out: {why}. Nothing was sent.", hint=HINT)
