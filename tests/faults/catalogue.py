"""The fault catalogue: every fault of the table in the facts about reliability (2.3) that concerns a run or a watch.

A row names the fault; each of its cases says how it is brought about, how the run must end, and what the venue must
have been sent. The drivers beside this file run the cases. A row without any is void, and says why.
"""

from decimal import Decimal

from tests.faults.cases import (
    ALL_BBB,
    BOUGHT,
    BUY,
    DONE,
    NOTHING,
    SELL,
    SOLD,
    Row,
    Traded,
    Wired,
    answer,
    faults,
    listing,
    order_fault,
    weights,
)
from tests.faults.stage import (
    NEVER,
    after_s,
    at_answer,
    at_send,
    break_the_disk,
    call_it_cancelled,
    change,
    cut,
    cut_short,
    damage,
    deafen,
    die,
    expose,
    fill_the_disk,
    from_the_start,
    halt,
    interrupt,
    lose,
    lose_power,
    meanwhile,
    publish,
    set_right,
    set_the_clock,
    somebody_trades,
    stop,
    stumble,
)
from tests.faults.watches import OF_WATCHES
from tests.support.sandbox import fault
from tests.support.trading_scene import RENAMED

from ibkr_rebalancer.core.instruments import ConId, ContractQuery
from ibkr_rebalancer.core.policy import Limits, OrderType, Policy

SLOW = {"fills": {"delay_ms": 2000, "slices": 3}}
"""Every order takes six seconds."""
QUESTIONS = ("server_time", "managed_accounts", "positions", "portfolio", "contracts", "quotes")

OF_RUNS = (
    Row(
        number=1,
        fault="the gateway is down at the start",
        instead="`execute` says so at once: a person who waits for it can start the gateway; trying again is watch's.",
        cases=(
            Wired(how="nothing listens", env={"IBKR_PORT": "{closed_port}"}, ends="20 GATEWAY_UNREACHABLE"),
            Traded(how="and stays down", moment=from_the_start(cut(back_s=NEVER)), ends="20 LINK_DOWN", then=DONE),
        ),
    ),
    Row(
        number=2,
        fault="something accepts connections and does not begin a session",
        cases=(
            Wired(
                how="silence instead of a greeting",
                faults=[fault("connect", "mute")],
                hurry={"connect_s": 0.1},
                ends="20 GATEWAY_NOT_READY",
                says="on the phone",
            ),
            Wired(
                how="silence after the greeting",
                faults=[fault("handshake", "mute")],
                hurry={"connect_s": 0.1},
                ends="20 GATEWAY_NOT_READY",
            ),
        ),
    ),
    Row(
        number=3,
        fault="an answer does not come to its end",
        proven_by=(
            "tests/edges/ibkr/test_market.py::test_an_answer_without_its_end",
            "tests/edges/ibkr/test_desk.py::test_a_book_that_lacks_an_end_is_no_book",
        ),
        cases=(
            *(
                Wired(
                    how=f"{end} is lost before anything is sent",
                    faults=[fault(end, "drop")],
                    hurry={"answer_s": 0.1},
                    ends="20 SNAPSHOT_INCOMPLETE",
                )
                for end in (
                    "openOrderEnd",
                    "execDetailsEnd",
                    "completedOrdersEnd",
                    "positionEnd",
                    "accountDownloadEnd",
                    "contractDetailsEnd",
                    "currentTime",
                )
            ),
            *(
                Wired(
                    how=f"{end} is lost when an order is looked for",
                    faults=[fault("orderStatus", "disconnect", count=1), fault(end, "drop", after=after, count=1)],
                    hurry={"answer_s": 0.3},
                    ends=DONE,
                    sent=(SELL, BUY),
                )
                for end, after in (
                    ("openOrderEnd", 2),
                    ("execDetailsEnd", 2),
                    ("completedOrdersEnd", 2),
                    ("positionEnd", 2),
                )
            ),
        ),
    ),
    Row(
        number=4,
        fault="the connection breaks in the middle of a snapshot",
        instead="the run ends with nothing sent; taking the snapshot anew is the next run's.",
        proven_by=("tests/cli/test_failures.py::test_a_snapshot_cut_at_any_frame_is_no_plan",),
        cases=(
            *(
                Traded(how=f"once {question} is answered", moment=at_answer(question, cut()), ends="20 LINK_DOWN")
                for question in QUESTIONS
            ),
            Wired(
                how="half of the positions have come",
                faults=[fault("position", "disconnect", count=1)],
                ends="20 SNAPSHOT_INCOMPLETE",
            ),
        ),
    ),
    Row(
        number=5,
        fault="a request is answered with an error",
        proven_by=("tests/edges/ibkr/test_market.py::test_a_refusal_is_an_error_at_once",),
        cases=tuple(
            Wired(
                how=f"{request} with {code}",
                faults=[fault(request, "error", parameters={"code": code, "text": "No."})],
                ends=ends,
            )
            for request, code, ends in (
                ("reqAllOpenOrders", 321, "21 GATEWAY_REFUSED"),
                ("reqExecutions", 322, "21 GATEWAY_REFUSED"),
                ("reqCompletedOrders", 162, "21 GATEWAY_REFUSED"),
                ("reqPositions", 321, "21 GATEWAY_REFUSED"),
                ("reqAccountUpdates", 322, "21 GATEWAY_REFUSED"),
                ("reqContractDetails", 200, "11 CONTRACT_UNKNOWN"),
            )
        ),
    ),
    Row(
        number=6,
        fault="the list of positions is empty, and nobody says that it failed",
        instead="positions are compared with the portfolio feed, and both with the broker's sums of them.",
        cases=(
            Wired(how="the only position is lost", faults=[fault("position", "drop")], ends="11 SNAPSHOT_INCONSISTENT"),
            *(
                Wired(
                    how=f"and so is the portfolio feed, but for {beside}",
                    change={
                        "market": {"XYZ": {"con_id": 901, "sec_type": kind, "bid": "1", "ask": "1.1", "last": "1"}},
                        "accounts": {"DU123456": {"positions": {"XYZ": 2}}},
                    },
                    faults=[fault(row, "drop", where={"symbol": "AAA"}) for row in ("position", "updatePortfolio")],
                    ends="11 SNAPSHOT_INCONSISTENT",
                )
                for beside, kind in (("an option", "OPT"), ("a future", "FUT"))
            ),
        ),
    ),
    Row(
        number=7,
        fault="the gateway loses Interactive Brokers before anything is sent",
        instead="the run ends with nothing sent; waiting for the link is watch's.",
        cases=tuple(
            Traded(
                how=f"once {question} is answered",
                moment=at_answer(question, interrupt(back_s=60)),
                ends="20 LINK_DOWN",
                then=DONE,
            )
            for question in QUESTIONS
        ),
    ),
    Row(
        number=8,
        fault="the gateway loses Interactive Brokers while orders are at work",
        cases=(
            Traded(
                how="they fill meanwhile, and it is back after a minute",
                moment=at_send(1, interrupt(back_s=60)),
                venue=SLOW,
                ends=DONE,
                sent=(SELL, BUY),
                told=(SOLD, BOUGHT),
            ),
            Traded(
                how="among the purchases",
                moment=at_send(2, interrupt(back_s=5)),
                venue=SLOW,
                ends=DONE,
                sent=(SELL, BUY),
                told=(SOLD, BOUGHT),
            ),
            Traded(
                how="an order is not taken any more",
                moment=at_send(1, interrupt(back_s=5), before=True),
                ends="12 partial",
                sent=("BUY 199 BBB",),
                told=("SELL 0/100 AAA absent", "BUY 199/199 BBB filled"),
            ),
            Traded(
                how="and does not find it again",
                moment=at_send(1, interrupt(back_s=NEVER)),
                ends="13 unknown",
                sent=(SELL,),
                told=("SELL 0/100 AAA unknown",),
                then=DONE,
            ),
            Traded(
                how="between the sales and the purchases",
                moment=at_answer("quotes", interrupt(back_s=5), number=2),
                ends=DONE,
                sent=(SELL, BUY),
                told=(SOLD, BOUGHT),
            ),
            Traded(
                how="between the sales and the purchases, for good",
                moment=at_answer("quotes", interrupt(back_s=NEVER), number=2),
                ends="12 partial",
                sent=(SELL,),
                told=(SOLD,),
                says="The gateway was lost",
                then=DONE,
            ),
            Traded(
                how="for a moment between plan and orders",
                moment=at_answer("quotes", interrupt(back_s=0), set_right),
                ends="20 LINK_DOWN",
                then=DONE,
            ),
            Wired(
                how="1100 among the fills, 1102 a moment later",
                faults=[
                    fault("execDetails", "notice", parameters={"code": 1100}, count=1),
                    fault("orderStatus", "notice", parameters={"code": 1102}, where={"status": "Filled"}, count=1),
                ],
                ends=DONE,
                sent=(SELL, BUY),
            ),
        ),
    ),
    Row(
        number=9,
        fault="the connection breaks between an order and its acknowledgement",
        cases=(
            Traded(
                how="the order is taken",
                moment=at_send(1, cut()),
                ends=DONE,
                sent=(SELL, BUY),
                told=(SOLD, BOUGHT),
            ),
            Traded(
                how="the order is not taken",
                moment=at_send(1, cut(), before=True),
                ends="12 partial",
                sent=("BUY 199 BBB",),
                told=("SELL 0/100 AAA absent", "BUY 199/199 BBB filled"),
                then="0 done",
            ),
            Traded(
                how="the purchase is not taken",
                moment=at_send(2, cut(), before=True),
                ends="12 partial",
                sent=(SELL,),
                told=(SOLD, "BUY 0/398 BBB absent"),
                then=DONE,
            ),
            Traded(
                how="the order is taken, and there is no way back to the gateway",
                moment=at_send(1, cut(back_s=NEVER)),
                venue=SLOW,
                ends="13 unknown",
                sent=(SELL,),
                told=("SELL 0/100 AAA unknown",),
                then=DONE,
            ),
            Traded(
                how="the order is not taken, and there is no way back to the gateway",
                moment=at_send(1, cut(back_s=NEVER), before=True),
                ends="13 unknown",
                told=("SELL 0/100 AAA unknown",),
                then=DONE,
            ),
            Wired(
                how="the order is taken",
                faults=[fault("openOrder", "disconnect", where={"whatIf": "0"}, count=1)],
                ends=DONE,
                sent=(SELL, BUY),
            ),
            Wired(
                how="a fill is cut off",
                faults=[fault("execDetails", "disconnect", count=1)],
                ends=DONE,
                sent=(SELL, BUY),
            ),
        ),
    ),
    Row(
        number=11,
        fault="another session of the same user has the market data (10197)",
        instead="a target without a price refuses the plan (11); the hint names the other session.",
        cases=(
            Wired(
                how="for all quotes",
                faults=[fault("reqMktData", "error", parameters={"code": 10197})],
                ends="11 PRICE_MISSING",
                says="Log this user out of TWS",
            ),
            Wired(
                how="only after the sales",
                faults=[fault("reqMktData", "error", parameters={"code": 10197}, after=2)],
                ends="12 partial",
                sent=(SELL,),
                says="BBB has no price",
                then=DONE,
            ),
        ),
    ),
    Row(
        number=12,
        fault="a data farm is down (2103, 2105, 2157)",
        instead="what counts is whether prices come: a target without one refuses the plan (11).",
        proven_by=("tests/edges/ibkr/test_market.py::test_a_broken_farm_explains_missing_prices",),
        cases=(
            Wired(
                how="and no price comes",
                faults=[
                    fault("reqMktData", "notice", parameters={"code": 2103, "text": "broken:usfarm"}),
                    fault("tickPrice", "drop"),
                ],
                hurry={"quotes_s": 0.3},
                ends="11 PRICE_MISSING",
            ),
            Wired(
                how="and prices come all the same",
                faults=[fault("reqMktData", "notice", parameters={"code": 2103, "text": "broken:usfarm"})],
                ends=DONE,
                sent=(SELL, BUY),
            ),
        ),
    ),
    Row(
        number=13,
        fault="the gateway's API is read-only (321)",
        cases=(
            Wired(
                how="a purchase is previewed first",
                change={"read_only": True},
                ends="21 GATEWAY_READ_ONLY",
                says="Read-Only",
            ),
            Wired(
                how="there are only sales",
                change={
                    "read_only": True,
                    "accounts": {"DU123456": {"cash": "0", "positions": {"AAA": 100, "CCC": 4}}},
                    **answer(weights(AAA=1)),
                },
                ends="21 GATEWAY_READ_ONLY",
                says="the preview of the order to SELL 4 CCC",
            ),
            Traded(
                how="what the broker has against the first sale keeps no other order from being sent",
                history={"AAA": "0.9", "BBB": "0.1"},
                venue=faults(
                    {"when": {"preview": {"side": "SELL"}}, "what": {"reject": {"text": "No."}}},
                    order_fault("reject", "AAA", text="No."),
                ),
                ends="12 partial",
                sent=(SELL, "BUY 159 BBB"),
            ),
        ),
    ),
    Row(
        number=14,
        fault="the client id is in use (326)",
        cases=(
            Wired(
                how="from the start",
                faults=[fault("startApi", "error", parameters={"code": 326})],
                ends="15 CLIENT_ID_IN_USE",
            ),
            Wired(
                how="for a moment, by our own connection that broke",
                faults=[
                    fault("orderStatus", "disconnect", count=1),
                    fault("startApi", "error", parameters={"code": 326}, after=1, count=2),
                ],
                ends=DONE,
                sent=(SELL, BUY),
            ),
        ),
    ),
    Row(
        number=15,
        fault="the account is not managed by the gateway, or not of the trading mode",
        cases=(
            Wired(how="not managed", entry={"account_id": "DU999999"}, ends="21 ACCOUNT_NOT_MANAGED"),
            Wired(how="paper account, live mode", env={"TRADING_MODE": "live"}, ends="21 MODE_MISMATCH"),
        ),
    ),
    Row(
        number=16,
        fault="this machine's clock and the gateway's disagree",
        cases=(
            Traded(
                how="with real money",
                account="U1",
                moment=from_the_start(set_the_clock(seconds=6)),
                ends="11 CLOCK_SKEW",
                settles="11 CLOCK_SKEW",
            ),
            Traded(
                how="on paper",
                moment=from_the_start(set_the_clock(seconds=6)),
                ends=DONE,
                sent=(SELL, BUY),
            ),
        ),
    ),
    Row(
        number=17,
        fault="what the gateway sends is garbage",
        proven_by=(
            "tests/edges/ibkr/test_market.py::test_nonsense_in_the_middle",
            "tests/edges/ibkr/test_frames.py",
        ),
        cases=(
            Wired(
                how="in the middle of a snapshot",
                faults=[fault("positionEnd", "garbage", count=1)],
                ends="20 GATEWAY_PROTOCOL",
            ),
            Wired(
                how="instead of an order's first word",
                faults=[fault("openOrder", "garbage", where={"whatIf": "0"}, count=1)],
                ends=DONE,
                sent=(SELL, BUY),
            ),
            Wired(
                how="an execution without a quantity",
                faults=[fault("execDetails", "alter", parameters={"shares": "many"}, count=1)],
                ends=DONE,
                sent=(SELL, BUY),
            ),
        ),
    ),
    Row(
        number=18,
        fault="the process is killed",
        processes=("test_a_process_that_is_killed_is_caught_up_with",),
        proven_by=("tests/flows/test_positions.py::test_positions_that_lag_after_a_crash_are_not_sold_again",),
        cases=(
            *(
                Traded(
                    how=how,
                    moment=at_send(number, die, before=before),
                    venue=SLOW,
                    ends="killed",
                    sent=sent,
                    then=then,
                )
                for how, number, before, sent, then in (
                    ("before the first order", 1, True, (), DONE),
                    ("after the first order", 1, False, (SELL,), DONE),
                    ("before the purchase", 2, True, (SELL,), DONE),
                    ("after the purchase", 2, False, (SELL, BUY), NOTHING),
                )
            ),
            Traded(
                how="and the next run is tomorrow's",
                moment=at_send(1, die),
                venue=faults(order_fault("partial", "AAA", shares=30)),
                ends="killed",
                sent=(SELL,),
                then_after_s=86_400,
                then=DONE,
            ),
            Traded(
                how="an order that does not fill is adopted until its time is up",
                moment=at_send(1, die),
                venue=faults(order_fault("hold", "AAA")),
                ends="killed",
                sent=(SELL,),
            ),
        ),
    ),
    Row(
        number=19,
        fault="SIGTERM or SIGINT",
        processes=("test_a_signal_stops_a_run_in_good_order",),
        proven_by=("tests/flows/test_interruption.py",),
        cases=(
            Traded(
                how="while an order is at work",
                moment=after_s(3, stop),
                venue=SLOW,
                ends="12 interrupted",
                sent=(SELL,),
                told=("SELL 34/100 AAA cancelled",),
            ),
            Traded(
                how="while the last commissions are awaited",
                moment=after_s(1, stop),
                venue=faults(order_fault("commission_late", ms=60_000)),
                ends=DONE,
                sent=(SELL, BUY),
                told=(SOLD, BOUGHT),
            ),
            Traded(
                how="while the gateway is lost",
                moment=at_send(1, cut(back_s=NEVER), after_s(5, stop)),
                venue=SLOW,
                ends="13 unknown",
                sent=(SELL,),
                then=DONE,
            ),
            Traded(
                how="while a cancel goes unheeded",
                moment=after_s(3, stop),
                venue=faults(order_fault("hold", "AAA"), order_fault("cancel_late", "AAA")),
                ends="13 unknown",
                sent=(SELL,),
            ),
            Traded(
                how="halted by another process between the sales and the purchases",
                moment=at_send(1, halt),
                ends="14 halted",
                sent=(SELL,),
                told=(SOLD,),
                says="enough",
                settles="14 HALTED",
            ),
        ),
    ),
    Row(
        number=20,
        fault="power fails",
        proven_by=("tests/edges/journal/test_processes.py::test_power_that_fails_loses_nothing_that_was_kept",),
        cases=tuple(
            Traded(
                how=how,
                moment=at_send(number, lose_power, before=before),
                venue=SLOW,
                ends="killed",
                sent=sent,
                then=then,
            )
            for how, number, before, sent, then in (
                ("before the first order", 1, True, (), DONE),
                ("after the first order", 1, False, (SELL,), DONE),
                ("after the purchase", 2, False, (SELL, BUY), NOTHING),
            )
        ),
    ),
    Row(
        number=21,
        fault="the disk is full before an order",
        proven_by=("tests/edges/journal/test_storage_faults.py::test_a_full_disk_stops_at_every_write",),
        cases=(
            Traded(
                how="before the plan is kept",
                moment=at_answer("quotes", fill_the_disk()),
                ends="30 STORAGE_FULL",
                says="none of its orders was sent",
                then=DONE,
            ),
        ),
    ),
    Row(
        number=22,
        fault="the disk is full after an order",
        proven_by=("tests/edges/journal/test_storage_faults.py::test_a_failure_names_what_may_be_at_work",),
        cases=(
            Traded(
                how="at the first write after it",
                moment=at_send(1, fill_the_disk()),
                ends="13 unknown",
                sent=(SELL,),
                told=("SELL 0/100 AAA unknown",),
                says="What this process may have at work at the broker: rb1-",
            ),
        ),
    ),
    Row(
        number=23,
        fault="a sync fails",
        proven_by=("tests/edges/journal/test_storage_faults.py::test_a_sync_that_fails_is_the_end",),
        cases=(
            Traded(
                how="before an order",
                moment=at_answer("quotes", break_the_disk),
                ends="30 STORAGE_ERROR",
                then=DONE,
            ),
            Traded(
                how="before the purchases",
                moment=at_answer("quotes", break_the_disk, number=2),
                ends="30 failed",
                sent=(SELL,),
                told=(SOLD,),
                says=f"{BUY} (",
                then=DONE,
            ),
            Traded(
                how="after an order: nobody knows what comes of it, but a cancel goes out",
                moment=at_send(1, break_the_disk),
                venue=SLOW,
                ends="13 unknown",
                sent=(SELL,),
                told=("SELL 0/100 AAA unknown",),
                says="could not be read or written",
                then=DONE,
            ),
        ),
    ),
    Row(
        number=24,
        fault="the journal is damaged, cut short or of another version",
        proven_by=("tests/edges/journal/test_damage.py", "tests/edges/journal/test_opening.py"),
        cases=tuple(
            Traded(
                how=how,
                history={"BBB": "1"},
                targets={"CCC": "1"},
                moment=from_the_start(deed),
                ends=ends,
                says="Nothing was sent.",
                settles=ends,
            )
            for how, deed, ends in (
                ("damaged", damage("journal.db"), "30 JOURNAL_CORRUPT"),
                ("cut short", cut_short("journal.db"), "30 JOURNAL_CORRUPT"),
                ("gone, but for its marker", lose("journal.db"), "30 JOURNAL_LOST"),
            )
        ),
    ),
    Row(
        number=25,
        fault="the journal is gone, and the broker knows orders of ours",
        cases=(
            Traded(
                how="the whole state folder",
                history={"BBB": "1"},
                targets={"CCC": "1"},
                moment=from_the_start(lose()),
                ends="30 JOURNAL_LOST",
                says="Restore the state folder",
                settles="30 JOURNAL_LOST",
            ),
        ),
    ),
    Row(
        number=26,
        fault="others can use the state folder, or it is on a network file system",
        proven_by=(
            "tests/edges/journal/test_opening.py::test_a_state_that_others_may_use",
            "tests/edges/journal/test_opening.py::test_a_state_of_somebody_else_is_refused_on_live",
            "tests/edges/journal/test_opening.py::test_a_network_file_system_is_refused_on_live",
        ),
        cases=(
            Traded(
                how="with real money",
                account="U1",
                adopt=True,
                moment=from_the_start(expose),
                ends="78 INSECURE_PATH",
                says="chmod 700",
                settles="78 INSECURE_PATH",
            ),
            Traded(how="on paper", moment=from_the_start(expose), ends=DONE, sent=(SELL, BUY)),
        ),
    ),
    Row(
        number=28,
        fault="the lock of a process that has crashed",
        proven_by=("tests/edges/journal/test_controls.py::test_a_holder_that_dies_leaves_the_account_free",),
        processes=("test_a_process_that_is_killed_is_caught_up_with",),
    ),
    Row(
        number=30,
        fault="this machine's clock jumps",
        instead="deadlines are monotonic, the market's time is the gateway's, and a plan is looked at again.",
        cases=(
            *(
                Traded(
                    how=f"{how} while an order is at work",
                    moment=at_send(1, set_the_clock(days=days)),
                    venue=SLOW,
                    ends=DONE,
                    sent=(SELL, BUY),
                    told=(SOLD, BOUGHT),
                )
                for how, days in (("a day on", 1), ("a day back", -1))
            ),
            Traded(
                how="a day on while an order does not fill",
                moment=at_send(1, set_the_clock(days=1)),
                venue=faults(order_fault("hold", "AAA")),
                ends="12 partial",
                sent=(SELL, "BUY 199 BBB"),
                told=("SELL 0/100 AAA cancelled", "BUY 199/199 BBB filled"),
            ),
        ),
    ),
    Row(
        number=32,
        fault="a defect of ours",
        proven_by=("tests/cli/test_endings.py::test_a_defect_of_ours_is_owned_up_to",),
        cases=tuple(
            Traded(
                how=how,
                moment=at_send(number, stumble, before=before),
                venue=SLOW,
                ends="70 bug",
                sent=sent,
                then=DONE,
            )
            for how, number, before, sent in (
                ("before an order", 1, True, ()),
                ("after an order", 1, False, (SELL,)),
            )
        ),
    ),
    Row(
        number=33,
        fault="the configuration changes while orders are open",
        cases=(
            Traded(
                how="other targets after a crash",
                moment=at_send(1, die),
                venue=SLOW,
                ends="killed",
                sent=(SELL,),
                then_targets={"CCC": "1"},
                then=DONE,
            ),
            Traded(
                how="another policy after a crash",
                moment=at_send(1, die),
                venue=SLOW,
                ends="killed",
                sent=(SELL,),
                then_policy=Policy(order_type=OrderType.LIMIT, cash_reserve_pct=Decimal(5)),
                then=DONE,
            ),
        ),
    ),
    Row(
        number=41,
        fault="the allocation source answers 5xx, or cannot be reached",
        proven_by=(
            "tests/edges/test_allocations.py::test_an_overloaded_server_is_asked_four_times",
            "tests/edges/test_allocations.py::test_nothing_listens",
            "tests/edges/test_allocations.py::test_a_certificate_that_nobody_vouches_for",
            "tests/edges/test_allocations.py::test_a_reset_before_the_answer",
        ),
        cases=(
            Wired(
                how="HTTP 503", change=answer("", status=503), targets_within_s=0.2, ends="23 ALLOCATION_UNAVAILABLE"
            ),
            Wired(
                how="nothing listens",
                entry={"allocations": {"url": "http://127.0.0.1:{closed_port}/x"}},
                targets_within_s=0.2,
                ends="23 ALLOCATION_UNAVAILABLE",
            ),
        ),
    ),
    Row(
        number=42,
        fault="the allocation source says no (401, 403, 404)",
        proven_by=("tests/edges/test_allocations.py::test_a_refused_key_is_not_tried_again",),
        cases=(
            Wired(how="wrong key", env={"ALLOCATIONS_API_KEY": "wrong"}, ends="23 ALLOCATION_DENIED"),
            Wired(how="HTTP 403", change=answer("", status=403), ends="23 ALLOCATION_DENIED"),
            Wired(how="HTTP 404", change=answer("", status=404), ends="23 ALLOCATION_UNAVAILABLE"),
        ),
    ),
    Row(
        number=43,
        fault="the allocation source is slow, or never comes to an end",
        proven_by=("tests/edges/test_allocations.py::test_the_deadline_is_for_the_whole_fetch",),
        cases=(
            Wired(
                how="silence",
                change=answer("", delay_ms=5000),
                targets_within_s=0.2,
                ends="23 ALLOCATION_TIMEOUT",
            ),
        ),
    ),
    Row(
        number=44,
        fault="the allocation document is huge",
        proven_by=("tests/edges/test_allocations.py::test_a_compressed_giant_is_not_unpacked",),
        cases=(Wired(how="endless", change=answer("", endless=True), ends="23 ALLOCATION_TOO_LARGE"),),
    ),
    Row(
        number=45,
        fault="the allocation source sends us elsewhere",
        proven_by=("tests/edges/test_allocations.py::test_the_key_goes_nowhere_else",),
        cases=(
            Wired(
                how="HTTP 302 to another host",
                change=answer("", status=302, location="http://localhost:1/targets"),
                ends="23 ALLOCATION_REDIRECT",
            ),
        ),
    ),
    Row(
        number=46,
        fault="what the allocation source sends is no allocation",
        proven_by=("tests/core/test_allocation.py::test_any_bytes_are_either_targets_or_refused",),
        cases=(
            Wired(how="a web page", change=answer("<html>"), ends="24 ALLOCATION_INVALID"),
            Wired(how="half of it", change=answer('{"status": "success", "data": {'), ends="24 ALLOCATION_INVALID"),
            Wired(how="nothing", change=answer(""), ends="24 ALLOCATION_INVALID"),
            Wired(how="an error", change=answer({"status": "error"}), ends="24 ALLOCATION_STATUS"),
        ),
    ),
    Row(
        number=47,
        fault="a weight or a symbol that is none",
        proven_by=("tests/core/test_allocation.py::test_a_document_that_is_not_wholly_understood_is_refused",),
        cases=tuple(
            Wired(how=how, change=answer(f'{{"status": "success", "data": {{"allocations": [{rows}]}}}}'), ends=ends)
            for how, rows, ends in (
                ("NaN", '{"symbol": "BBB", "allocation": NaN}', "24 ALLOCATION_INVALID"),
                (
                    "negative",
                    '{"symbol": "AAA", "allocation": 1.5}, {"symbol": "BBB", "allocation": -0.5}',
                    "24 ALLOCATION_INVALID",
                ),
                ("true", '{"symbol": "BBB", "allocation": true}', "24 ALLOCATION_INVALID"),
                ("text", '{"symbol": "BBB", "allocation": "1"}', "24 ALLOCATION_INVALID"),
                (
                    "twice",
                    '{"symbol": "BBB", "allocation": 0.5}, {"symbol": "BBB", "allocation": 0.5}',
                    "24 ALLOCATION_INVALID",
                ),
            )
        ),
    ),
    Row(
        number=48,
        fault="the weights do not add up to 1",
        instead="the tolerance is 0.01 (DESIGN 3, Targets).",
        proven_by=("tests/core/test_allocation.py::test_a_sum_far_from_one_is_refused",),
        cases=(
            Wired(how="0.97", change=answer(weights(AAA=0.5, BBB=0.47)), ends="24 ALLOCATION_SUM", says="0.97"),
            Wired(how="1.03", change=answer(weights(AAA=0.5, BBB=0.53)), ends="24 ALLOCATION_SUM"),
            Wired(
                how="no weights at all",
                change=answer(weights()),
                ends="24 ALLOCATION_INVALID",
                says="never means to sell",
            ),
        ),
    ),
    Row(
        number=49,
        fault="the allocation is older than the last one",
        instead="its date is shown and journalled, and stops nothing: a monthly strategy's is always old (DESIGN 3).",
        cases=(
            Wired(
                how="as of years ago",
                change=answer({**weights(BBB=1), "data": {**weights(BBB=1)["data"], "as_of": "2020-01-01"}}),
                ends=DONE,
                sent=(SELL, BUY),
            ),
        ),
    ),
    Row(
        number=50,
        fault="a symbol that this account has never bought",
        instead="new symbols are ordinary life (DESIGN 3, Limits); the broker is asked before anything is sent.",
        cases=(
            Traded(
                how="the broker would refuse it",
                venue=faults({"when": {"preview": {"symbol": "BBB"}}, "what": {"reject": {"text": "No KID."}}}),
                ends="11 ORDER_WOULD_BE_REJECTED",
                says="No KID.",
                then=DONE,
            ),
            Traded(
                how="it only lacks the money that the sales will bring",
                venue=faults(
                    {"when": {"preview": {"symbol": "BBB"}}, "what": {"reject": {"text": "Insufficient funds."}}}
                ),
                ends=DONE,
                sent=(SELL, BUY),
            ),
        ),
    ),
    Row(
        number=51,
        fault="two fetches of the allocation in one run differ",
        instead="the plan of the new targets is shown, and asked about again (DESIGN 3, When is money moved).",
        cases=(
            Traded(
                how="while a person thinks",
                person=meanwhile(publish(CCC="1")),
                ends=DONE,
                sent=(SELL, "BUY 996 CCC"),
                shown=((SELL, BUY), (SELL, "BUY 996 CCC")),
                then_targets={"CCC": "1"},
            ),
        ),
    ),
    Row(
        number=52,
        fault="a symbol that nobody knows, that can mean two contracts, or another than when it was traded last",
        proven_by=("tests/cli/test_failures.py::test_a_failure_has_its_own_sentence_hint_and_exit_code",),
        cases=(
            Traded(
                how="unknown",
                targets={"AAA": "0.5", "NOPE": "0.5"},
                ends="11 CONTRACT_UNKNOWN",
                settles="11 CONTRACT_UNKNOWN",
            ),
            Traded(
                how="ambiguous",
                venue={"market": {"BBB": [{"con_id": 1, "bid": "50"}, {"con_id": 2, "bid": "50"}]}},
                ends="11 CONTRACT_AMBIGUOUS",
                settles="11 CONTRACT_AMBIGUOUS",
            ),
            Traded(
                how="the name has passed to another company, and its owner says that this one is meant",
                history=ALL_BBB,
                moment=from_the_start(change(**RENAMED)),
                ends="11 CONTRACT_CHANGED",
                says="BBB (SMART/USD) meant con_id 102 when it was traded last, and now means con_id 999",
                then_policy=Policy(contracts={"BBB": ContractQuery(symbol="BBB", con_id=ConId(999))}),
                then=DONE,
            ),
            Traded(
                how="the name has passed to another company, and its owner says that the old one is meant",
                history=ALL_BBB,
                moment=from_the_start(change(**RENAMED)),
                ends="11 CONTRACT_CHANGED",
                then_policy=Policy(contracts={"BBB": ContractQuery(symbol="BBB", con_id=ConId(102))}),
                then=NOTHING,
            ),
        ),
    ),
    Row(
        number=53,
        fault="a price that is none",
        cases=(
            *(
                Traded(
                    how=f"with real money, {how}",
                    account="U1",
                    adopt=True,
                    venue=listing("BBB", **prices),
                    ends=ends,
                    settles=ends,
                )
                for how, prices, ends in (
                    ("no bid", {"bid": None}, "11 PRICE_MISSING"),
                    ("0 asked", {"ask": "0"}, "11 PRICE_MISSING"),
                    ("no previous close", {"close": None}, "11 PRICE_MISSING"),
                    ("nothing at all", {"data": "none"}, "11 PRICE_MISSING"),
                )
            ),
            Traded(
                how="on paper the last price will do, though nothing fills at it",
                venue=listing("BBB", bid=None, ask=None),
                ends="12 partial",
                settles="12 partial",
                sent=(SELL, BUY),
            ),
        ),
    ),
    Row(
        number=54,
        fault="a price that is old, delayed or frozen",
        cases=(
            *(
                Traded(
                    how=f"with real money, {kind}",
                    account="U1",
                    adopt=True,
                    venue=listing("BBB", data=kind),
                    ends="11 PRICE_NOT_LIVE",
                    settles="11 PRICE_NOT_LIVE",
                )
                for kind in ("delayed", "frozen")
            ),
            Traded(how="on paper, delayed", venue=listing("BBB", data="delayed"), ends=DONE, sent=(SELL, BUY)),
        ),
    ),
    Row(
        number=55,
        fault="a price that makes no market, or is far from the previous close",
        cases=tuple(
            Traded(how=how, account="U1", adopt=True, venue=listing("BBB", **prices), ends=ends, settles=ends)
            for how, prices, ends in (
                ("crossed", {"bid": "50.50", "ask": "50.00"}, "11 PRICE_CROSSED"),
                ("wide", {"bid": "48.00", "ask": "52.00"}, "11 LIMIT_MAX_SPREAD_PCT"),
                ("far", {"close": "30.00"}, "11 LIMIT_MAX_GAP_PCT"),
            )
        ),
    ),
    Row(
        number=56,
        fault="trading in a symbol is halted",
        instead="what has to go and is halted stays, and keeps nothing else from being traded, as without a price.",
        proven_by=(
            "tests/edges/ibkr/test_market.py::test_what_the_gateway_says_of_a_halt",
            "tests/core/test_planner.py::test_a_plan_that_would_trade_what_is_halted_says_so",
        ),
        cases=(
            *(
                Traded(
                    how=f"what is to be bought, with {money}",
                    account=account,
                    adopt=True,
                    venue=listing("BBB", halted=True),
                    ends="11 SYMBOL_HALTED",
                    says="Trading in BBB is halted. None of the 2 orders was sent.",
                    settles="11 SYMBOL_HALTED",
                )
                for money, account in (("real money", "U1"), ("play money", "DU1"))
            ),
            Traded(
                how="what is to be bought, far from the previous close",
                venue=listing("BBB", halted=True, close="30"),
                ends="11 SYMBOL_HALTED",
                settles="11 SYMBOL_HALTED",
            ),
            Traded(
                how="what is to become less",
                targets={"AAA": "0.25", "BBB": "0.75"},
                venue=listing("AAA", halted=True, bid=None, ask=None),
                ends="11 SYMBOL_HALTED",
                settles="11 SYMBOL_HALTED",
            ),
            Traded(
                how="what has to go",
                venue=listing("AAA", halted=True),
                ends=DONE,
                sent=("BUY 198 BBB",),
            ),
            Traded(
                how="what is to be bought, from the sales on",
                moment=at_send(1, change(market={"BBB": {"halted": True}})),
                ends="12 partial",
                sent=(SELL,),
                told=(SOLD,),
                says="Trading in BBB is halted.",
                then="11 SYMBOL_HALTED",
                settles="11 SYMBOL_HALTED",
            ),
            Traded(
                how="what is being sold",
                moment=at_send(1, change(market={"AAA": {"halted": True}}), before=True),
                ends="12 partial",
                sent=(SELL, "BUY 199 BBB"),
                told=("SELL 0/100 AAA cancelled", "BUY 199/199 BBB filled"),
            ),
            Wired(
                how="what is to be bought",
                change=listing("BBB", halted=True),
                ends="11 SYMBOL_HALTED",
                says="Trading in BBB is halted. None of the 2 orders was sent.",
            ),
            Wired(
                how="what has to go",
                change=listing("AAA", halted=True),
                ends=DONE,
                sent=("BUY 198 BBB",),
            ),
        ),
    ),
    Row(
        number=57,
        fault="the market is closed, or nobody knows when it is open",
        cases=(
            Traded(
                how="closed in one symbol of the plan",
                venue=listing("BBB", hours="closed"),
                ends="10 MARKET_CLOSED",
                settles="10 MARKET_CLOSED",
            ),
            Traded(
                how="it closes while an order is at work",
                venue={
                    "market": {symbol: {"hours": "09:30-10:31 America/New_York"} for symbol in ("AAA", "BBB")},
                    **faults(order_fault("partial", "AAA", shares=30)),
                },
                ends="12 partial",
                sent=(SELL,),
                told=("SELL 30/100 AAA cancelled",),
                says="Market closed at 2026-11-23 15:31 UTC for BBB",
                settles="10 MARKET_CLOSED",
            ),
        ),
    ),
    Row(
        number=58,
        fault="a split or the like between the plan and the order",
        instead="what has changed since the plan was shown makes it stale: the new one is shown.",
        cases=(
            Traded(
                how="ten shares for one, while a person thinks",
                person=meanwhile(
                    change(
                        accounts={"DU1": {"positions": {"AAA": 1000}}},
                        market={"AAA": {"bid": "9.99", "ask": "10.01", "last": "10", "close": "9.90"}},
                    )
                ),
                ends=DONE,
                sent=("SELL 1000 AAA", BUY),
                shown=((SELL, BUY), ("SELL 1000 AAA", BUY)),
            ),
            Traded(
                how="the price alone, before the run",
                venue=listing("BBB", bid="4.99", ask="5.01", last="5", close="50"),
                ends="11 LIMIT_MAX_GAP_PCT",
                settles="11 LIMIT_MAX_GAP_PCT",
            ),
        ),
    ),
    Row(
        number=59,
        fault="holdings that are no stocks",
        cases=(
            Traded(
                how="an option, a future and another currency",
                venue={
                    "accounts": {"DU1": {"positions": {"OPTX": 2, "FUTX": 1}}},
                    "market": {
                        "OPTX": {"con_id": 901, "sec_type": "OPT", "bid": "1", "ask": "1.1", "multiplier": "100"},
                        "FUTX": {"con_id": 902, "sec_type": "FUT", "bid": "10", "ask": "10.1"},
                    },
                },
                ends=DONE,
                sent=(SELL, BUY),
            ),
        ),
    ),
    Row(
        number=60,
        fault="a short position, a fraction of a share, a debit",
        cases=(
            Traded(
                how="a target is held short",
                venue={"accounts": {"DU1": {"positions": {"BBB": -5}}}},
                ends="11 TARGET_HELD_SHORT",
                settles="11 TARGET_HELD_SHORT",
                overdraws=True,
            ),
            Traded(
                how="a fraction stays",
                venue={"accounts": {"DU1": {"positions": {"AAA": "100.5"}}}},
                ends=DONE,
                sent=(SELL, BUY),
            ),
            Traded(
                how="a debit is brought up first",
                venue={"accounts": {"DU1": {"cash": "-2000"}}},
                targets={"AAA": "1"},
                ends=DONE,
                sent=("SELL 21 AAA",),
                overdraws=True,
            ),
        ),
    ),
    Row(
        number=61,
        fault="other currencies",
        cases=(
            Traded(
                how="cash in another currency stays what it is",
                venue={"accounts": {"DU1": {"cash": {"USD": "10000", "EUR": "5000"}}}, "rates": {"EURUSD": "1.10"}},
                ends=DONE,
                sent=(SELL, BUY),
            ),
        ),
    ),
    Row(
        number=62,
        fault="cash that is not settled",
        instead="purchases never exceed what the broker makes available (AvailableFunds).",
        cases=(
            Traded(
                how="of 10,000 in cash 4,000 are available",
                venue={
                    "accounts": {
                        "DU1": {"type": "CASH", "values": {"AvailableFunds": "4000"}, "positions": {"AAA": None}}
                    }
                },
                ends=DONE,
                sent=("BUY 79 BBB",),
            ),
        ),
    ),
    Row(
        number=63,
        fault="somebody else trades in the account",
        cases=(
            Traded(
                how="right beside the last order of a run",
                venue=faults(order_fault("foreign", "BBB", client=99, side="BUY", quantity=1)),
                ends="12 partial",
                sent=(SELL, BUY),
                told=(SOLD, BOUGHT),
                says="BBB (399 listed, 398 by our fills)",
            ),
            Traded(
                how="an order is open before the run",
                moment=from_the_start(somebody_trades("BUY 5 BBB @40")),
                ends="11 FOREIGN_ORDER",
                settles="11 FOREIGN_ORDER",
            ),
            Traded(
                how="an order comes while a person thinks",
                person=meanwhile(somebody_trades("BUY 5 BBB @40")),
                ends="11 FOREIGN_ORDER",
                shown=((SELL, BUY),),
                settles="11 FOREIGN_ORDER",
            ),
            Traded(
                how="something is bought during the sales",
                moment=at_send(1, somebody_trades("BUY 50 CCC")),
                venue=SLOW,
                ends="12 partial",
                sent=(SELL,),
                says="somebody else may be trading",
                then=DONE,
            ),
        ),
    ),
    Row(
        number=64,
        fault="an order is rejected",
        cases=(
            Traded(
                how="a sale: nothing is bought with its money",
                venue=faults(order_fault("reject", "AAA", text="No trading permissions.")),
                ends="12 partial",
                sent=(SELL, "BUY 199 BBB"),
                told=("SELL 0/100 AAA rejected", "BUY 199/199 BBB filled"),
                says="No trading permissions. (201)",
            ),
            Traded(
                how="a purchase for want of money: one smaller, once it is proven dead",
                venue=faults(
                    order_fault("reject", "BBB", text="Insufficient funds.")
                    | {"when": {"order": {"symbol": "BBB"}, "count": 1}}
                ),
                ends="12 partial",
                sent=(SELL, BUY, "BUY 378 BBB"),
                told=(SOLD, "BUY 0/398 BBB rejected", "BUY 378/378 BBB filled"),
            ),
            Traded(
                how="too many of them: nothing is bought",
                policy=Policy(limits=Limits(max_rejects=1)),
                venue={
                    "accounts": {"DU1": {"positions": {"CCC": 100}}},
                    **faults(order_fault("reject", "AAA"), order_fault("reject", "CCC")),
                },
                ends="12 partial",
                sent=(SELL, "SELL 100 CCC"),
                says="max_rejects is 1",
                then=DONE,
            ),
            Wired(
                how="by the gateway",
                faults=[
                    fault(
                        "placeOrder",
                        "error",
                        parameters={"code": 201, "text": "Not this one."},
                        where={"whatIf": "0"},
                        count=1,
                    )
                ],
                ends="12 partial",
                sent=(SELL, "BUY 199 BBB"),
                told=("SELL 0/100 AAA rejected", "BUY 199/199 BBB filled"),
                says="Not this one. (201)",
            ),
            *(
                Traded(
                    how=f"by code {code}",
                    venue=faults(order_fault("reject", "BBB", code=code, text="No.")),
                    ends="12 partial",
                    sent=(SELL, BUY),
                    told=(SOLD, "BUY 0/398 BBB rejected"),
                    says=f"No. ({code})",
                )
                for code in (110, 200, 203, 321, 10243, 10311)
            ),
        ),
    ),
    Row(
        number=65,
        fault="a warning is told of an order that lives on",
        proven_by=("tests/edges/ibkr/test_order_traps.py::test_trap_16_an_error_is_told_and_the_order_fills",),
        cases=tuple(
            Traded(
                how=f"by code {code}",
                venue={**SLOW, **faults(order_fault("warn", "AAA", code=code, text="Mind."))},
                ends=DONE,
                sent=(SELL, BUY),
                told=(SOLD, BOUGHT),
            )
            for code in (103, 104, 399, 404, 2109, 2161, 10147, 10148, 10167, 10197, 10349)
        ),
    ),
    Row(
        number=66,
        fault="an order fills in part, and then no more",
        cases=(
            Traded(
                how="a sale",
                venue=faults(order_fault("partial", "AAA", shares=30)),
                ends="12 partial",
                sent=(SELL, "BUY 259 BBB"),
                told=("SELL 30/100 AAA cancelled", "BUY 259/259 BBB filled"),
                then=DONE,
            ),
            Traded(
                how="a purchase",
                venue=faults(order_fault("partial", "BBB", shares=30)),
                ends="12 partial",
                sent=(SELL, BUY),
                told=(SOLD, "BUY 30/398 BBB cancelled"),
                then=DONE,
            ),
        ),
    ),
    Row(
        number=67,
        fault="an order never fills",
        cases=(
            Traded(
                how="and is cancelled",
                venue=faults(order_fault("fill_on_cancel", "AAA", shares=0)),
                ends="12 partial",
                sent=(SELL, "BUY 199 BBB"),
                told=("SELL 0/100 AAA cancelled", "BUY 199/199 BBB filled"),
                then=DONE,
            ),
            Traded(
                how="and the cancel takes its time",
                venue=faults(order_fault("hold", "AAA"), order_fault("cancel_late", "AAA", ms=45_000)),
                ends="12 partial",
                sent=(SELL, "BUY 199 BBB"),
                told=("SELL 0/100 AAA cancelled", "BUY 199/199 BBB filled"),
                then=DONE,
            ),
            Traded(
                how="nor can it be cancelled",
                venue=faults(order_fault("hold", "AAA"), order_fault("cancel_late", "AAA")),
                ends="13 unknown",
                sent=(SELL,),
                told=("SELL 0/100 AAA unknown",),
            ),
            Traded(
                how="until its session is over",
                venue={**faults(order_fault("hold", "AAA")), **listing("AAA", hours="09:30-10:31 America/New_York")},
                ends="12 partial",
                sent=(SELL, "BUY 199 BBB"),
                told=("SELL 0/100 AAA cancelled", "BUY 199/199 BBB filled"),
                settles="10 MARKET_CLOSED",
            ),
        ),
    ),
    Row(
        number=68,
        fault="an order is cancelled by the broker, or in TWS",
        cases=(
            Traded(
                how="a sale",
                venue=faults(order_fault("hold", "AAA"), order_fault("cancelled", "AAA", ms=2000, text="by the desk")),
                ends="12 partial",
                sent=(SELL, "BUY 199 BBB"),
                told=("SELL 0/100 AAA cancelled", "BUY 199/199 BBB filled"),
                says="by the desk",
                then=DONE,
            ),
            Traded(
                how="a sale, by the word of one status, and it lives on",
                venue=faults(order_fault("hold", "AAA")),
                moment=from_the_start(call_it_cancelled),
                ends="12 partial",
                sent=(SELL, "BUY 199 BBB"),
                told=("SELL 0/100 AAA cancelled", "BUY 199/199 BBB filled"),
                says="open, though it had been said to have ended, so we cancelled it",
                then=DONE,
            ),
        ),
    ),
    Row(
        number=69,
        fault="a fill after our cancel",
        cases=(
            Traded(
                how="all of it, before the cancel",
                venue=faults(order_fault("fill_on_cancel", "AAA")),
                ends=DONE,
                sent=(SELL, BUY),
                told=(SOLD, BOUGHT),
            ),
            Traded(
                how="a part of it, before the cancel",
                venue=faults(order_fault("fill_on_cancel", "AAA", shares=10)),
                ends="12 partial",
                sent=(SELL, "BUY 219 BBB"),
                told=("SELL 10/100 AAA cancelled", "BUY 219/219 BBB filled"),
                then=DONE,
            ),
            Traded(
                how="a purchase, after it was told to be cancelled",
                venue=faults(order_fault("late_fill", "BBB", ms=2000)),
                ends="12 partial",
                sent=(SELL, BUY),
                then=NOTHING,
            ),
        ),
    ),
    Row(
        number=70,
        fault="an order is held: PreSubmitted, Inactive, PendingSubmit",
        cases=(
            Traded(
                how="for shares to borrow",
                venue=faults(order_fault("hold", "AAA", why="locate")),
                ends="12 partial",
                sent=(SELL, "BUY 199 BBB"),
                told=("SELL 0/100 AAA cancelled", "BUY 199/199 BBB filled"),
                then=DONE,
            ),
            Traded(
                how="inactive",
                venue=faults(order_fault("hold", "AAA", status="Inactive")),
                ends="12 partial",
                sent=(SELL, "BUY 199 BBB"),
                told=("SELL 0/100 AAA rejected", "BUY 199/199 BBB filled"),
                then=DONE,
            ),
        ),
    ),
    Row(
        number=71,
        fault="statuses come twice, late, in another order or never; an execution is corrected",
        proven_by=(
            "tests/core/test_order_state.py::test_order_does_not_matter",
            "tests/core/test_order_state.py::test_duplicates_do_not_matter",
            "tests/edges/ibkr/test_order_traps.py::test_trap_18_words_that_come_twice_or_never",
        ),
        cases=(
            Traded(
                how="nothing at all is told",
                moment=at_send(1, deafen),
                ends=DONE,
                sent=(SELL, BUY),
                told=(SOLD, BOUGHT),
            ),
            Traded(
                how="the price of a sale is corrected among its fills",
                venue={
                    "fills": {"delay_ms": 500, "slices": 3},
                    **faults(order_fault("correct", "AAA", price="95", ms=100)),
                },
                ends="12 partial",
                sent=(SELL, "BUY 392 BBB"),
                told=(SOLD, "BUY 392/392 BBB filled"),
                overdraws=True,
            ),
            Traded(
                how="commissions come a minute late",
                venue=faults(order_fault("commission_late", ms=60_000)),
                ends=DONE,
                sent=(SELL, BUY),
                told=(SOLD, BOUGHT),
            ),
            Traded(
                how="positions and cash show every execution five seconds late",
                venue=faults(order_fault("lag", ms=5_000)),
                ends=DONE,
                sent=(SELL, BUY),
                told=(SOLD, BOUGHT),
            ),
            *(
                Wired(how=f"{message} {how}", faults=[fault(message, action, where=where)], ends=DONE, sent=(SELL, BUY))
                for message, how, action, where in (
                    ("openOrder", "never comes", "drop", {"whatIf": "0"}),
                    ("orderStatus", "never comes", "drop", {}),
                    ("commissionReport", "never comes", "drop", {}),
                    ("orderStatus", "comes twice", "duplicate", {}),
                    ("execDetails", "comes twice", "duplicate", {}),
                    ("commissionReport", "comes twice", "duplicate", {}),
                )
            ),
            Wired(
                how="execDetails comes after the status that speaks of it",
                faults=[fault("execDetails", "delay", parameters={"ms": 100})],
                ends=DONE,
                sent=(SELL, BUY),
            ),
        ),
    ),
    Row(
        number=72,
        fault="the broker makes two orders of one",
        instead="the run ends with the graver 13, naming the permanent ids; both are cancelled and proven, and trading "
        "is halted, so that every later run ends with 14.",
        cases=(
            Traded(
                how="both sales fill",
                venue=faults(order_fault("duplicate_perm", "AAA")),
                ends="13 unknown",
                sent=(SELL,),
                told=("SELL 200/100 AAA filled",),
                says="more than it asked for",
                then="14 HALTED",
                settles="14 HALTED",
                overdraws=True,
            ),
            Traded(
                how="both purchases fill",
                venue=faults(order_fault("duplicate_perm", "BBB")),
                ends="13 unknown",
                sent=(SELL, BUY),
                told=(SOLD, "BUY 796/398 BBB filled"),
                then="14 HALTED",
                settles="14 HALTED",
                overdraws=True,
            ),
            Traded(
                how="neither fills",
                venue=faults(order_fault("duplicate_perm", "AAA"), order_fault("hold", "AAA")),
                ends="13 unknown",
                sent=(SELL,),
                told=("SELL 0/100 AAA cancelled",),
                says="exists more than once",
                then="14 HALTED",
                settles="14 HALTED",
            ),
            Wired(
                how="neither fills",
                faults=[order_fault("duplicate_perm", "AAA"), order_fault("hold", "AAA")],
                ends="13 unknown",
                sent=(SELL,),
                told=("SELL 0/100 AAA cancelled",),
                then="14 HALTED",
                settles="14 HALTED",
            ),
        ),
    ),
    Row(
        number=73,
        fault="the size of an order is refused, or its price is capped",
        cases=(
            Traded(
                how="too large",
                venue=faults(order_fault("reject", "BBB", code=201, text="The size is above the limit LGSZ.")),
                ends="12 partial",
                sent=(SELL, BUY),
                told=(SOLD, "BUY 0/398 BBB rejected"),
                says="LGSZ",
            ),
            Traded(
                how="cancelled for its price (202)",
                venue=faults(order_fault("reject", "BBB", code=202, text="The price is too aggressive.")),
                ends="12 partial",
                sent=(SELL, BUY),
                told=(SOLD, "BUY 0/398 BBB cancelled"),
                says="aggressive",
            ),
        ),
    ),
    Row(
        number=74,
        fault="sales bring less than planned",
        cases=(
            Traded(
                how="5 % less",
                venue={"market": {"AAA": {"fills": {"slippage_bp": "500"}}}},
                ends="12 partial",
                sent=(SELL, "BUY 389 BBB"),
                says="",
            ),
            Traded(
                how="as little as their limits let them, and purchases as dear as theirs",
                venue={"fills": {"slippage_bp": 30}},
                policy=Policy(order_type=OrderType.LIMIT),
                ends=DONE,
                sent=(SELL, BUY),
            ),
            Traded(
                how="there are none, and what is bought has risen while a person thinks",
                venue={"accounts": {"DU1": {"cash": "20000", "positions": {"AAA": None}}}},
                person=meanwhile(change(market={"BBB": {"bid": "50.21", "ask": "50.23", "last": "50.22"}})),
                shown=(("BUY 398 BBB",),),
                ends="12 partial",
                sent=("BUY 397 BBB",),
                says="19,975.00 can be spent, and all purchases would cost 19,993.53",
            ),
        ),
    ),
    Row(
        number=75,
        fault="the log, standard output or a notifier is broken",
        instead="an observer never fails (ports.Observer); notifiers come later.",
        proven_by=("tests/cli/test_execute.py::test_a_reader_who_is_gone_changes_neither_orders_nor_exit_code",),
        processes=("test_a_reader_who_has_gone_changes_nothing",),
    ),
)

CATALOGUE = tuple(sorted((*OF_RUNS, *OF_WATCHES), key=lambda row: row.number))
