"""Which contract a symbol means, or the sentence that says why none can be chosen."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.support.notation import Line, contract

from ibkr_rebalancer.core.errors import Refused
from ibkr_rebalancer.core.instruments import ConId, Contract, ContractQuery, choose_contract, require_unchanged

ARCA = contract(Line(symbol="QQQ"))
LONDON = replace(ARCA, con_id=ConId(7), primary_exchange="LSEETF", currency="GBP", name="QQQ UCITS")


def refused(query: ContractQuery, candidates: Sequence[Contract]) -> Refused:
    with pytest.raises(Refused) as caught:
        choose_contract(query, candidates)
    return caught.value


def test_the_only_candidate_is_chosen_however_often_it_is_listed() -> None:
    assert choose_contract(ContractQuery(symbol="QQQ"), [ARCA, ARCA]) == ARCA


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (ContractQuery(symbol="NOPE"), "no contract for NOPE (SMART/USD)."),
        (ContractQuery(symbol="NOPE", con_id=ConId(9)), "no contract for NOPE (con_id 9)."),
        (ContractQuery(symbol="SAP", exchange="IBIS", currency="EUR"), "no contract for SAP (IBIS/EUR)."),
        (ContractQuery(symbol="QQQ", primary_exchange="ARCA"), "no contract for QQQ (SMART/USD, ARCA)."),
    ],
)
def test_an_unknown_symbol_is_refused_with_what_was_asked(query: ContractQuery, said: str) -> None:
    error = refused(query, [])
    assert error.code == "CONTRACT_UNKNOWN"
    assert said in error.message
    assert f"contracts: {{{query.symbol}: {{con_id: …}}}}" in error.hint


def test_an_ambiguous_symbol_is_refused_with_the_candidates() -> None:
    error = refused(ContractQuery(symbol="QQQ"), [ARCA, LONDON])
    assert error.code == "CONTRACT_AMBIGUOUS"
    assert error.message == (
        f"QQQ (SMART/USD) can mean 2 contracts: con_id {ARCA.con_id} ARCA USD QQQ TRUST; con_id 7 LSEETF GBP QQQ UCITS."
    )
    assert error.hint == "Choose one in accounts.yaml: contracts: {QQQ: {con_id: …}}."


def test_a_contract_that_is_no_stock_is_refused() -> None:
    future = replace(ARCA, con_id=ConId(3), security_type="FUT")
    error = refused(ContractQuery(symbol="ES", con_id=ConId(3)), [future])
    assert error.code == "CONTRACT_NOT_A_STOCK"
    assert error.message == "ES (con_id 3) is a FUT contract; only stocks and ETFs are traded."


def test_an_answer_about_another_contract_is_refused() -> None:
    error = refused(ContractQuery(symbol="CCC", con_id=ConId(3)), [LONDON])
    assert error.code == "CONTRACT_MISMATCH"
    assert error.message == (
        "CCC (con_id 3) was asked for, but Interactive Brokers answered with QQQ: con_id 7 LSEETF GBP QQQ UCITS."
    )
    assert choose_contract(ContractQuery(symbol="CCC", con_id=ConId(7)), [LONDON]) == LONDON


META = ContractQuery(symbol="META")
FUND = contract(Line(symbol="META"))
COMPANY = replace(FUND, con_id=ConId(7), primary_exchange="NASDAQ", name="META PLATFORMS")


@pytest.mark.parametrize(
    "pinned", [{}, {META: COMPANY.con_id}, {ContractQuery(symbol="META", currency="EUR"): FUND.con_id}]
)
def test_a_name_that_is_new_or_means_what_it_meant_passes(pinned: dict[ContractQuery, ConId]) -> None:
    require_unchanged({META: COMPANY}, pinned)


def test_a_name_that_means_another_contract_is_refused_with_both_and_the_way_out() -> None:
    fb = ContractQuery(symbol="FB", primary_exchange="NASDAQ")
    chosen = {META: COMPANY, fb: FUND, ContractQuery(symbol="QQQ"): ARCA}
    with pytest.raises(Refused) as caught:
        require_unchanged(chosen, {META: FUND.con_id, fb: COMPANY.con_id, ContractQuery(symbol="QQQ"): ARCA.con_id})
    error = caught.value
    assert (error.code, error.exit_code) == ("CONTRACT_CHANGED", 11)
    assert error.message == (
        f"META (SMART/USD) meant con_id {FUND.con_id} when it was traded last, and now means "
        f"con_id 7 NASDAQ USD META PLATFORMS; FB (SMART/USD, NASDAQ) meant con_id 7 when it was traded last, "
        f"and now means con_id {FUND.con_id} ARCA USD META TRUST. Nothing was sent."
    )
    assert error.hint == (
        "If the new contract is meant, say so in accounts.yaml, and leave it there: "
        f"contracts: {{META: {{con_id: 7}}, FB: {{con_id: {FUND.con_id}}}}}; or name the old one there."
    )
