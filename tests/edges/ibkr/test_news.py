"""Which order a message is about, whatever it calls it, whose it is, and what of it is news."""

from datetime import UTC, datetime

import ib_async
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.reading import DU1, NOW

from ibkr_rebalancer.core.evidence import Commissioned, ErrorTold, Executed, StatusTold
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.edges.ibkr.news import EARLY, OrderNews, References
from ibkr_rebalancer.edges.ibkr.order_messages import (
    LIVE,
    Charged,
    Complained,
    Ended,
    Opened,
    OrderMessage,
    Printed,
    Stated,
)

US, THEM = 11, 77
"""Client ids."""
OURS, OTHER, FOREIGN = "rb1-ours-1", "rb1-other-1", "somebody"
"""References."""
DU2, DU3 = AccountId("DU2"), AccountId("DU3")


def opened(order_ref: str, *, client_id: int = US, order_id: int = 5, perm_id: int = 900, account: str = DU1) -> Opened:
    order = ib_async.Order(orderRef=order_ref, clientId=client_id, orderId=order_id, permId=perm_id, account=account)
    state = ib_async.OrderState(status="Submitted")
    return Opened(at=NOW, contract=ib_async.Contract(), order=order, state=state)


def stated(*, client_id: int = US, order_id: int = 5, perm_id: int = 900) -> Stated:
    return Stated(
        at=NOW,
        order_id=order_id,
        client_id=client_id,
        perm_id=perm_id,
        status="Submitted",
        filled=0,
        remaining=5,
        why_held="",
    )


def printed(
    order_ref: str,
    *,
    exec_id: str = "a.01",
    perm_id: int = 900,
    client_id: int = US,
    request: int = LIVE,
    account: str = DU1,
) -> Printed:
    execution = ib_async.Execution(
        execId=exec_id,
        orderRef=order_ref,
        acctNumber=account,
        permId=perm_id,
        clientId=client_id,
        orderId=5,
        shares=5.0,
        price=100.01,
        time=datetime(2026, 11, 23, 15, 30, tzinfo=UTC),
    )
    return Printed(request=request, execution=execution)


def charged(exec_id: str = "a.01", commission: float = 1.0) -> Charged:
    return Charged(report=ib_async.CommissionReport(execId=exec_id, commission=commission, currency="USD"))


def ended(order_ref: str, *, perm_id: int = 900, account: str = DU1) -> Ended:
    order = ib_async.Order(orderRef=order_ref, permId=perm_id, filledQuantity=5.0, account=account)
    return Ended(at=NOW, order=order, state=ib_async.OrderState(status="Filled"))


def complained(order_id: int = 5) -> Complained:
    return Complained(at=NOW, order_id=order_id, code=202, text="")


def told(*messages: OrderMessage, placed: dict[int, str] | None = None) -> References:
    """References that have learnt of these orders of ours and then of these messages."""
    references = References(US)
    for order_id, order_ref in (placed or {}).items():
        references.placed(order_id, order_ref, DU1)
    for message in messages:
        references.learn(message)
    return references


SENT = {5: OURS}


@pytest.mark.parametrize(
    ("known", "message", "order_ref"),
    [
        (told(), opened(OURS), OURS),
        (told(), opened(FOREIGN), None),
        (told(), opened(""), None),
        (told(placed=SENT), opened("", perm_id=0), OURS),
        (told(placed=SENT), opened(OTHER), OTHER),
        (told(placed=SENT), stated(), OURS),
        (told(placed=SENT), stated(client_id=THEM), None),
        (told(placed=SENT), stated(order_id=6), None),
        (told(stated(), placed=SENT), stated(client_id=THEM, order_id=0), OURS),
        (told(opened(OURS, client_id=THEM)), stated(client_id=THEM, perm_id=0), OURS),
        (told(opened(OURS, client_id=THEM)), stated(perm_id=0), None),
        (told(opened(OURS, client_id=THEM)), complained(), None),
        (told(opened(FOREIGN), placed=SENT), stated(perm_id=0), None),
        (told(opened(FOREIGN), placed=SENT), complained(), None),
        (told(opened(FOREIGN, client_id=THEM), placed=SENT), complained(), OURS),
        (told(placed=SENT), complained(), OURS),
        (told(placed=SENT), complained(6), None),
        (told(), printed(OURS), OURS),
        (told(placed=SENT), printed(FOREIGN), None),
        (told(placed=SENT), printed(""), OURS),
        (told(placed=SENT), printed("", client_id=THEM), None),
        (told(printed(OURS, client_id=THEM)), stated(perm_id=0), None),
        (told(printed(OURS)), charged(), OURS),
        (told(printed(OURS)), charged("a.02"), None),
        (told(printed(FOREIGN)), charged(), None),
        (told(), ended(OURS), OURS),
        (told(), ended(""), None),
        (told(printed(OURS)), ended(""), OURS),
        (told(opened(OURS)), ended(FOREIGN), None),
    ],
)
def test_whose_a_message_is(known: References, message: OrderMessage, order_ref: str | None) -> None:
    assert known.of(message) == order_ref
    assert (known.heard(message) is None) is (order_ref is None)


@pytest.mark.parametrize(
    ("known", "order_ids"),
    [
        (told(), ()),
        (told(placed=SENT), (5,)),
        (told(opened(OURS)), (5,)),
        (told(opened(OURS, client_id=THEM)), ()),
        (told(opened(OURS, client_id=THEM, order_id=4), opened(OURS)), (5,)),
        (told(opened(FOREIGN), placed=SENT), ()),
        (told(opened(OTHER), placed=SENT), ()),
        (told(printed(OURS)), ()),
        (told(stated(), ended(OURS), placed=SENT), (5,)),
        (told(opened(OURS), opened(OURS, order_id=1005), placed=SENT), (5, 1005)),
    ],
)
def test_what_can_be_cancelled_over_our_client_id(known: References, order_ids: tuple[int, ...]) -> None:
    assert known.order_ids(OURS) == order_ids


def kinds(news: OrderNews, account: AccountId = DU1) -> list[type]:
    return [type(heard.evidence) for heard in news.of(account).take()]


def test_news_is_heard_once_and_in_order() -> None:
    news = OrderNews(US)
    for message in (opened(OURS), printed(OURS), charged(), opened(FOREIGN, order_id=6), printed(FOREIGN, exec_id="b")):
        news.take(message)
    assert news.of(DU1).arrived.is_set()
    assert kinds(news) == [StatusTold, Executed, Commissioned]
    assert not news.of(DU1).arrived.is_set()
    assert kinds(news) == []


def test_nothing_of_others_is_news() -> None:
    news = OrderNews(US)
    for message in (opened(FOREIGN), stated(perm_id=7), printed(FOREIGN), charged(), complained()):
        news.take(message)
    assert not news.of(DU1).arrived.is_set()
    assert news.of(DU1).take() == ()


def test_a_commission_before_its_execution_waits_for_it() -> None:
    news = OrderNews(US)
    news.take(charged())
    assert not news.of(DU1).arrived.is_set()
    news.take(printed(OURS))
    assert kinds(news) == [Executed, Commissioned]


def test_commissions_of_others_do_not_pile_up() -> None:
    news = OrderNews(US)
    news.take(charged("first"))
    for number in range(EARLY):
        news.take(charged(f"theirs.{number}"))
    news.take(printed(OURS, exec_id="first"))
    assert kinds(news) == [Executed]


def test_what_was_asked_for_is_recorded_and_no_news() -> None:
    news = OrderNews(US)
    asked: list[OrderMessage] = [
        opened(FOREIGN, order_id=6),
        printed(OURS, request=3),
        charged(),
        ended(OURS),
        complained(9),
    ]
    with news.recording() as record:
        for message in asked:
            news.take(message)
    assert record == asked
    assert kinds(news) == []


def test_what_happens_meanwhile_is_recorded_and_news() -> None:
    news = OrderNews(US)
    with news.recording() as record:
        for message in (printed(OURS, request=3), printed(OURS, exec_id="new"), charged("new")):
            news.take(message)
    assert len(record) == 3
    assert kinds(news) == [Executed, Commissioned]


def test_a_commission_that_comes_after_the_list_it_belongs_to_is_news() -> None:
    news = OrderNews(US)
    with news.recording():
        news.take(printed(OURS, request=3))
    news.take(charged())
    assert kinds(news) == [Commissioned]


def test_a_commission_that_is_not_known_yet_is_no_news() -> None:
    news = OrderNews(US)
    news.take(printed(OURS))
    news.of(DU1).take()
    news.take(charged(commission=1.7976931348623157e308))
    assert news.of(DU1).take() == ()


# Whose it is


def two_accounts() -> OrderNews:
    """Of DU1 an order has gone out under the number 5, of DU2 one under the number 6."""
    news = OrderNews(US)
    news.references.placed(5, OURS, DU1)
    news.references.placed(6, OTHER, DU2)
    return news


THEIRS: list[OrderMessage] = [
    opened(OTHER, order_id=6, perm_id=901, account=DU2),
    opened("", order_id=6, perm_id=0, account=""),
    stated(order_id=6, perm_id=0),
    printed(OTHER, exec_id="b.01", perm_id=901, account=DU2),
    printed(OTHER, exec_id="b.01", account=""),
    complained(6),
]
"""Messages about the second order, with and without its account."""


@pytest.mark.parametrize("message", THEIRS)
def test_an_account_hears_of_its_own_orders_only(message: OrderMessage) -> None:
    news = two_accounts()
    news.take(message)
    assert not news.of(DU1).arrived.is_set()
    assert kinds(news, DU1) == []
    assert news.of(DU2).arrived.is_set()
    assert len(kinds(news, DU2)) == 1


def test_a_commission_is_for_the_account_of_its_print_whichever_comes_first() -> None:
    news = two_accounts()
    for message in (
        printed(OTHER, exec_id="b.01", account=DU2), charged("b.01"), charged("a.01"), printed(OURS, exec_id="a.01"),
    ):  # fmt: skip
        news.take(message)
    assert kinds(news, DU1) == [Executed, Commissioned]
    assert kinds(news, DU2) == [Executed, Commissioned]


def test_what_nobody_listens_for_waits_until_somebody_does() -> None:
    news = two_accounts()
    for message in (stated(order_id=6, perm_id=0), complained(6), stated(perm_id=0)):
        news.take(message)
    assert kinds(news, DU1) == [StatusTold]
    assert kinds(news, DU1) == []
    assert kinds(news, DU2) == [StatusTold, ErrorTold]


def test_an_order_of_an_earlier_connection_is_whose_the_broker_says() -> None:
    news = OrderNews(US)
    news.take(opened(OURS, account=DU2))
    news.take(stated())
    assert kinds(news, DU1) == []
    assert kinds(news, DU2) == [StatusTold, StatusTold]


@pytest.mark.parametrize("told", [opened(OURS, account=DU2), ended(OURS, account=DU2), printed(OURS, account=DU2)])
def test_what_is_said_before_the_account_is_known_waits_for_it(told: OrderMessage) -> None:
    news = OrderNews(US)
    news.take(opened(OURS, account=""))
    news.take(stated())
    for account in (DU1, DU2):
        assert not news.of(account).arrived.is_set()
    news.take(told)
    assert news.of(DU2).arrived.is_set()
    assert kinds(news, DU2)[:2] == [StatusTold, StatusTold]
    assert (kinds(news, DU1), news.of(None).take()) == ([], ())


def test_an_order_that_we_placed_stays_with_the_account_that_placed_it() -> None:
    """The account that waits for it is the one that sent it, whatever is said of it by mistake."""
    news = two_accounts()
    news.take(opened(OURS, account=DU3))
    assert (kinds(news, DU1), kinds(news, DU3)) == ([StatusTold], [])


messages = st.lists(
    st.one_of(
        st.builds(
            opened,
            st.sampled_from(["", OURS, OTHER, FOREIGN]),
            client_id=st.sampled_from([US, THEM]),
            account=st.sampled_from(["", DU1, DU2]),
        ),
        st.builds(stated, client_id=st.sampled_from([US, THEM]), perm_id=st.sampled_from([0, 900, 901])),
        st.builds(printed, st.sampled_from([OURS, OTHER, FOREIGN]), exec_id=st.sampled_from("abc")),
        st.builds(charged, st.sampled_from("abc")),
        st.builds(complained),
    ),
    max_size=12,
)


@given(messages)
def test_what_is_said_to_be_somebody_elses_never_becomes_ours(said: list[OrderMessage]) -> None:
    news = OrderNews(US)
    for message in said:
        news.take(message)
        match message:
            case Opened(order=ib_async.Order(orderRef=order_ref)) if order_ref:
                assert news.references.of(message) == (order_ref if order_ref != FOREIGN else None)
            case Printed(execution=ib_async.Execution(orderRef=order_ref)):
                assert news.references.of(message) == (order_ref if order_ref != FOREIGN else None)
    assert {heard.order_ref for heard in news.of(DU1).take()} <= {OURS, OTHER}


@given(messages)
def test_every_piece_is_heard_by_exactly_one_account(said: list[OrderMessage]) -> None:
    """That in which its order is; and together the accounts hear what one who hears all would hear."""
    news, references = two_accounts(), two_accounts().references
    pieces = []
    for message in said:
        news.take(message)
        references.learn(message)
        if not isinstance(message, Charged):  # those that come before their prints are another matter
            pieces += [heard] if (heard := references.heard(message)) else []
    ours, theirs = news.of(DU1).take(), news.of(DU2).take()
    assert {heard.order_ref for heard in ours} <= {OURS}
    assert {heard.order_ref for heard in theirs} <= {OTHER}
    told = [heard for heard in (*ours, *theirs) if not isinstance(heard.evidence, Commissioned)]
    assert sorted(map(repr, told)) == sorted(map(repr, pieces))


def test_what_was_not_spoken_of_for_long_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection may last for months; what is spoken of again is as new as what has just been placed."""
    monkeypatch.setattr("ibkr_rebalancer.edges.ibkr.news.REMEMBERED", 3)
    references = References(US)
    for number in range(1, 10):
        order_ref = f"rb1-{number}"
        references.placed(number, order_ref, DU1)
        references.learn(opened(order_ref, order_id=number, perm_id=900 + number))
        references.learn(printed(order_ref, exec_id=f"{number}.01", perm_id=900 + number))
        references.learn(opened("rb1-1", order_id=1, perm_id=901))
    assert [bool(references.order_ids(f"rb1-{number}")) for number in range(1, 10)] == [True, *[False] * 6, True, True]
    assert references.account_of("rb1-1") == DU1
    assert references.of(stated(order_id=99, perm_id=905)) is None
    kept = [len(names) for names in vars(references).values() if isinstance(names, dict)]
    assert kept == [3] * 5
