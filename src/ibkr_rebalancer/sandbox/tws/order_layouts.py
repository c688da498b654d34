"""The messages about orders at server version 178: their fields in order, and the parts that only some orders have.

Each message tells much the same in an order of its own. The parts are those of the clients' sources; the gateway itself
sends those after `deltaNeutralOrderType`, which it fills with the word None.
"""

from collections.abc import Callable

from ibkr_rebalancer.sandbox.tws.wire import Field, Group, Layout, Part, Values, is_unset

_CONTRACT = "conId symbol secType lastTradeDate strike right multiplier exchange"
CONTRACT = (*_CONTRACT.split(), "currency", "localSymbol", "tradingClass")
"""A contract as the gateway sends it with positions, orders and executions."""
WANTED = (*_CONTRACT.split(), "primaryExchange", "currency", "localSymbol", "tradingClass")
"""A contract as clients describe it in requests."""

PEG_BENCH = {"PEG BENCH", "PEGBENCH"}
PEG_BEST = {"PEG BEST", "PEGBEST"}
PEG_MID = {"PEG MID", "PEGMID"}
INFINITY = {"Infinity", "Infinite"}
"""As the broker's client and as ib_async write it."""


def _is(name: str, *texts: str) -> Callable[[Values], bool]:
    return lambda values: values[name] in texts


def _given(name: str) -> Callable[[Values], bool]:
    """Whether the field says anything, a group whether it has rows."""
    return lambda values: bool(values[name])


def _is_positive(values: Values) -> bool:
    increment = str(values["scalePriceIncrement"])
    return not is_unset(increment) and not increment.startswith("-") and increment.strip("0.") != ""


def _fields(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_LEGS = Group("legs", _fields("conId ratio action exchange openClose shortSaleSlot designatedLocation exemptCode"))
_LEG_PRICES = Group("legPrices", ("price",))
_ROUTING = Group("smartComboRouting", ("tag", "value"))

_SCALE = Part(
    _is_positive,
    _fields(
        "scalePriceAdjustValue scalePriceAdjustInterval scaleProfitOffset scaleAutoReset scaleInitPosition"
        " scaleInitFillQty scaleRandomPercent"
    ),
)
_HEDGE = Part(_given("hedgeType"), ("hedgeParam",))
_DELTA_NEUTRAL = Part(
    _given("deltaNeutralOrderType"),
    _fields(
        "deltaNeutralConId deltaNeutralSettlingFirm deltaNeutralClearingAccount deltaNeutralClearingIntent"
        " deltaNeutralOpenClose deltaNeutralShortSale deltaNeutralShortSaleSlot deltaNeutralDesignatedLocation"
    ),
)
_DELTA_NEUTRAL_COMPLETED = Part(
    _given("deltaNeutralOrderType"),
    _fields("deltaNeutralConId deltaNeutralShortSale deltaNeutralShortSaleSlot deltaNeutralDesignatedLocation"),
)
_DELTA_NEUTRAL_CONTRACT = Part(
    _is("deltaNeutralContract", "1"),
    _fields("deltaNeutralContractConId deltaNeutralContractDelta deltaNeutralContractPrice"),
)
_ALGO = Part(_given("algoStrategy"), (Group("algoParams", ("tag", "value")),))
_PEG_BENCH = Part(
    _is("orderType", *PEG_BENCH),
    _fields(
        "referenceContractId isPeggedChangeAmountDecrease peggedChangeAmount referenceChangeAmount referenceExchangeId"
    ),
)
_CONDITIONS = Group(
    "conditions",
    (
        "type",
        "conjunction",
        Part(_is("type", "1"), _fields("isMore price conId exchange triggerMethod")),
        Part(_is("type", "3"), _fields("isMore time")),
        Part(_is("type", "4"), _fields("isMore percent")),
        Part(_is("type", "5"), _fields("secType exchange symbol")),
        Part(_is("type", "6"), _fields("isMore volume conId exchange")),
        Part(_is("type", "7"), _fields("isMore changePercent conId exchange")),
    ),
)
"""Of price, time, margin, execution, volume and change in percent."""
_IF_CONDITIONS = Part(_given("conditions"), _fields("conditionsIgnoreRth conditionsCancelOrder"))
_MID_OFFSETS = _fields("midOffsetAtWhole midOffsetAtHalf")
_PEGGED = ("minTradeQty", "minCompeteSize", "competeAgainstBestOffset", *_MID_OFFSETS)
_ADJUSTED = _fields(
    "lmtPriceOffset adjustedStopPrice adjustedStopLimitPrice adjustedTrailingAmount adjustableTrailingUnit"
)


def _layout(name: str, id: int, version: int | None, *fields: Field) -> Layout:  # noqa: A002  # the protocol's word
    return Layout(name=name, id=id, version=version, fields=fields)


PLACE_ORDER = _layout(
    "placeOrder",
    3,
    None,
    "orderId",
    *WANTED,
    *_fields("secIdType secId action totalQuantity orderType lmtPrice auxPrice tif ocaGroup account openClose origin"),
    *_fields("orderRef transmit parentId blockOrder sweepToFill displaySize triggerMethod outsideRth hidden"),
    Part(_is("secType", "BAG"), (_LEGS, _LEG_PRICES, _ROUTING)),
    *_fields("sharesAllocation discretionaryAmt goodAfterTime goodTillDate faGroup faMethod faPercentage modelCode"),
    *_fields("shortSaleSlot designatedLocation exemptCode ocaType rule80A settlingFirm allOrNone minQty percentOffset"),
    *_fields("eTradeOnly firmQuoteOnly nbboPriceCap auctionStrategy startingPrice stockRefPrice delta"),
    *_fields("stockRangeLower stockRangeUpper overridePercentageConstraints volatility volatilityType"),
    *_fields("deltaNeutralOrderType deltaNeutralAuxPrice"),
    _DELTA_NEUTRAL,
    *_fields("continuousUpdate referencePriceType trailStopPrice trailingPercent"),
    *_fields("scaleInitLevelSize scaleSubsLevelSize scalePriceIncrement"),
    _SCALE,
    *_fields("scaleTable activeStartTime activeStopTime hedgeType"),
    _HEDGE,
    *_fields("optOutSmartRouting clearingAccount clearingIntent notHeld deltaNeutralContract"),
    _DELTA_NEUTRAL_CONTRACT,
    "algoStrategy",
    _ALGO,
    *_fields("algoId whatIf miscOptions solicited randomizeSize randomizePrice"),
    _PEG_BENCH,
    _CONDITIONS,
    _IF_CONDITIONS,
    *_fields("adjustedOrderType triggerPrice"),
    *_ADJUSTED,
    *_fields("extOperator softDollarTierName softDollarTierValue cashQty"),
    *_fields("mifid2DecisionMaker mifid2DecisionAlgo mifid2ExecutionTrader mifid2ExecutionAlgo"),
    *_fields("dontUseAutoPriceForHedge isOmsContainer discretionaryUpToLimitPrice usePriceMgmtAlgo duration postToAts"),
    *_fields("autoCancelParent advancedErrorOverride manualOrderTime"),
    Part(_is("exchange", "IBKRATS"), ("minTradeQty",)),
    Part(
        _is("orderType", *PEG_BEST),
        (
            *_fields("minCompeteSize competeAgainstBestOffset"),
            Part(_is("competeAgainstBestOffset", *INFINITY), _MID_OFFSETS),
        ),
    ),
    Part(_is("orderType", *PEG_MID), _MID_OFFSETS),
)
CANCEL_ORDER = _layout("cancelOrder", 4, 1, "orderId", "manualCancelTime")
GLOBAL_CANCEL = _layout("reqGlobalCancel", 58, 1)

ORDER_STATUS = _layout(
    "orderStatus",
    3,
    None,
    *_fields("orderId status filled remaining avgFillPrice permId parentId lastFillPrice clientId whyHeld mktCapPrice"),
)
OPEN_ORDER = _layout(
    "openOrder",
    5,
    None,
    "orderId",
    *CONTRACT,
    *_fields(
        "action totalQuantity orderType lmtPrice auxPrice tif ocaGroup account openClose origin orderRef clientId"
    ),
    *_fields("permId outsideRth hidden discretionaryAmt goodAfterTime sharesAllocation faGroup faMethod faPercentage"),
    *_fields("modelCode goodTillDate rule80A percentOffset settlingFirm shortSaleSlot designatedLocation exemptCode"),
    *_fields("auctionStrategy startingPrice stockRefPrice delta stockRangeLower stockRangeUpper displaySize"),
    *_fields("blockOrder sweepToFill allOrNone minQty ocaType eTradeOnly firmQuoteOnly nbboPriceCap parentId"),
    *_fields("triggerMethod volatility volatilityType deltaNeutralOrderType deltaNeutralAuxPrice"),
    _DELTA_NEUTRAL,
    *_fields("continuousUpdate referencePriceType trailStopPrice trailingPercent basisPoints basisPointsType"),
    "comboLegsDescrip",
    _LEGS,
    _LEG_PRICES,
    _ROUTING,
    *_fields("scaleInitLevelSize scaleSubsLevelSize scalePriceIncrement"),
    _SCALE,
    "hedgeType",
    _HEDGE,
    *_fields("optOutSmartRouting clearingAccount clearingIntent notHeld deltaNeutralContract"),
    _DELTA_NEUTRAL_CONTRACT,
    "algoStrategy",
    _ALGO,
    *_fields("solicited whatIf status initMarginBefore maintMarginBefore equityWithLoanBefore"),
    *_fields("initMarginChange maintMarginChange equityWithLoanChange"),
    *_fields("initMarginAfter maintMarginAfter equityWithLoanAfter"),
    *_fields("commission minCommission maxCommission commissionCurrency warningText randomizeSize randomizePrice"),
    _PEG_BENCH,
    _CONDITIONS,
    _IF_CONDITIONS,
    *_fields("adjustedOrderType triggerPrice trailStopPriceAgain"),
    *_ADJUSTED,
    *_fields("softDollarTierName softDollarTierValue softDollarTierDisplayName cashQty dontUseAutoPriceForHedge"),
    *_fields("isOmsContainer discretionaryUpToLimitPrice usePriceMgmtAlgo duration postToAts autoCancelParent"),
    *_PEGGED,
)
EXEC_DETAILS = _layout(
    "execDetails",
    11,
    None,
    *_fields("reqId orderId"),
    *CONTRACT,
    *_fields("execId time account executionExchange side shares price permId clientId liquidation cumQty avgPrice"),
    *_fields("orderRef evRule evMultiplier modelCode lastLiquidity pendingPriceRevision"),
)
COMMISSION_REPORT = _layout(
    "commissionReport", 59, 1, *_fields("execId commission currency realizedPNL yield yieldRedemptionDate")
)
COMPLETED_ORDER = _layout(
    "completedOrder",
    101,
    None,
    *CONTRACT,
    *_fields("action totalQuantity orderType lmtPrice auxPrice tif ocaGroup account openClose origin orderRef permId"),
    *_fields("outsideRth hidden discretionaryAmt goodAfterTime faGroup faMethod faPercentage modelCode goodTillDate"),
    *_fields("rule80A percentOffset settlingFirm shortSaleSlot designatedLocation exemptCode"),
    *_fields("startingPrice stockRefPrice delta stockRangeLower stockRangeUpper displaySize sweepToFill allOrNone"),
    *_fields("minQty ocaType triggerMethod volatility volatilityType deltaNeutralOrderType deltaNeutralAuxPrice"),
    _DELTA_NEUTRAL_COMPLETED,
    *_fields("continuousUpdate referencePriceType trailStopPrice trailingPercent comboLegsDescrip"),
    _LEGS,
    _LEG_PRICES,
    _ROUTING,
    *_fields("scaleInitLevelSize scaleSubsLevelSize scalePriceIncrement"),
    _SCALE,
    "hedgeType",
    _HEDGE,
    *_fields("clearingAccount clearingIntent notHeld deltaNeutralContract"),
    _DELTA_NEUTRAL_CONTRACT,
    "algoStrategy",
    _ALGO,
    *_fields("solicited status randomizeSize randomizePrice"),
    _PEG_BENCH,
    _CONDITIONS,
    _IF_CONDITIONS,
    *_fields("trailStopPriceAgain lmtPriceOffset cashQty dontUseAutoPriceForHedge isOmsContainer autoCancelDate"),
    *_fields("filledQuantity refFuturesConId autoCancelParent shareholder imbalanceOnly routeMarketableToBbo"),
    *_fields("parentPermId completedTime completedStatus"),
    *_PEGGED,
)
