"""Plans as a document, and back: the same plans or none."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.trading import planned
from tests.support.values import st_of

from ibkr_rebalancer.core.documents import document
from ibkr_rebalancer.core.errors import RebalancerError, Refused, UsageError
from ibkr_rebalancer.core.plan import Plan
from ibkr_rebalancer.core.plan_document import Unplanned, read_plans, sealed

FILE = "plan.json"
PLANS = st.lists(st_of(Plan), min_size=1, max_size=2, unique_by=lambda plan: plan.account)

_, PLAN = planned("DU1 cash 1_000; 100 OLD @50; 300 AAA @10/10.10; BBB @20; 3 SPXP OPT @2", "AAA 20; BBB 80")


def made(*plans: Plan, errors: list[Unplanned] | None = None) -> dict[str, Any]:
    """The document as it is printed and kept."""
    return sealed(document("plan", plans=plans, errors=errors or []))


def refused(body: object) -> RebalancerError:
    with pytest.raises(RebalancerError) as raised:
        read_plans(body if isinstance(body, bytes) else json.dumps(body).encode(), file=FILE)
    return raised.value


@settings(max_examples=40)
@given(PLANS, st.lists(st_of(Unplanned), max_size=2))
def test_what_is_written_is_read_back_as_it_was(plans: list[Plan], errors: list[Unplanned]) -> None:
    read = read_plans(json.dumps(made(*plans, errors=errors)).encode(), file=FILE)

    assert list(read.plans) == plans
    assert list(read.errors) == errors


def test_how_it_is_laid_out_does_not_matter() -> None:
    content = made(PLAN)
    for text in (json.dumps(content, indent=4), json.dumps(content, sort_keys=True), json.dumps(content) + "\n\n"):
        assert read_plans(text.encode(), file=FILE).plans == (PLAN,)


@given(st.data())
def test_whatever_is_changed_in_it_is_noticed(data: st.DataObject) -> None:
    content = made(PLAN)
    place, key = data.draw(st.sampled_from([each for each in places(content) if each[1] != "schema"]))
    was = place[key]
    place[key] = data.draw(
        st.sampled_from([None, 0, 1.5, "", "1.50", [], {}, True]).filter(
            lambda value: json.dumps(value) != json.dumps(was)
        )
    )

    error = refused(content)

    assert (error.code, error.exit_code, type(error)) == ("PLAN_EDITED", 11, Refused)


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a plan twice": lambda content: content["plans"].append(content["plans"][0]),
    "no plan": lambda content: content["plans"].clear(),
    "a trade less": lambda content: content["plans"][0]["trades"].pop(),
    "another order": lambda content: content["plans"][0]["trades"].reverse(),
    "a member less": lambda content: content["plans"][0].pop("remarks"),
    "a member more": lambda content: content.update(more=1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_taken_out_of_it_or_added_is_noticed(change: Callable[[dict[str, Any]], object]) -> None:
    content = made(PLAN)
    change(content)
    assert refused(content).code == "PLAN_EDITED"


def test_an_edited_plan_is_told_with_the_way_to_decide_otherwise() -> None:
    content = made(PLAN)
    content["plans"][0]["trades"][0]["quantity"] += 1
    error = refused(content)
    assert error.message == (
        f"plan.json is not as it was made: its digest is '{content['digest']}', which fits other content. "
        "Nothing was sent."
    )
    assert error.hint == (
        "Make a new plan with `rebalancer plan -o FILE`. What it should decide differently belongs into the targets, "
        "or into accounts.yaml."
    )


UNPLANNED = Unplanned(account=PLAN.account, code="HALTED", message="It is halted.", hint="Wait.", exit_code=14)
OTHER = "another version of rebalancer has written it"


def altered(**members: object) -> dict[str, Any]:
    """A document of one plan with other members, as a program that knows the digest would write it."""
    content = made(PLAN)
    plan = {**content["plans"][0], **members}
    return sealed({"schema": content["schema"], "plans": [plan], "errors": []})


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"plan", "it is no JSON, or cut off: line 1, column 1"),
        (b'{"schema":\n "rebalancer.plan/1"', "it is no JSON, or cut off: line 2, column 21"),
        (b"\xff\xff", "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        (b"[]", "it is no JSON object"),
        (b"{}", "its schema is missing, not rebalancer.plan/1"),
        (document("run", runs=[]), "its schema is 'rebalancer.run/1', not rebalancer.plan/1"),
        ({"schema": "rebalancer.plan/2"}, "its schema is 'rebalancer.plan/2', not rebalancer.plan/1"),
        ({"schema": ["x" * 100]}, f"its schema is ['{'x' * 58}, not rebalancer.plan/1"),
        (
            document("plan", plans=[PLAN], errors=[]),
            "it has no digest, so nobody can tell whether it is as it was made",
        ),
        (made(errors=[]), "it holds no plan"),
        (made(errors=[UNPLANNED]), "it holds no plan. DU1: It is halted"),
        (made(PLAN, PLAN), OTHER),
        (altered(more=1), OTHER),
        (altered(cash=7), OTHER),
        (altered(cash="7.00"), OTHER),
        (altered(trades=[{}]), OTHER),
        (sealed({"schema": "rebalancer.plan/1"}), OTHER),
        (sealed({"schema": "rebalancer.plan/1", "plans": 1, "errors": []}), OTHER),
    ],
)
def test_what_is_no_plan_of_ours_is_told_with_the_reason(body: object, why: str) -> None:
    error = refused(body)
    assert (error.code, error.exit_code, type(error)) == ("PLAN_FILE_INVALID", 2, UsageError)
    assert error.message == f"plan.json is no plan to carry out: {why}. Nothing was sent."
    assert error.hint == "Make one with `rebalancer plan -o FILE`, and leave it as it is."


def places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in it where a value stands: what holds it, and by which key."""
    keys = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for key in keys:
        yield content, key
        yield from places(content[key])
