"""docs/sandbox.md and docs/channels.md are so: commands run, files load, and lists are those of the code."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from ably import AblyRealtime, AblyRest
from tests.sandbox.ably_clients import ask
from tests.support.commands import Here, here

from ibkr_rebalancer.sandbox import run as sandbox_sources
from ibkr_rebalancer.sandbox.ably.faults import DISTURBANCES, REQUESTS, SENT
from ibkr_rebalancer.sandbox.run import load_scenario, run_sandbox
from ibkr_rebalancer.sandbox.scenario_yaml import parse_scenario
from ibkr_rebalancer.sandbox.tws.messages import FROM_CLIENT, TO_CLIENT
from ibkr_rebalancer.sandbox.tws.session import MOMENTS
from ibkr_rebalancer.sandbox.venue import fault_document, scenario
from ibkr_rebalancer.sandbox.venue.faults import ACTIONS, ORDER_ACTIONS, ORDER_FIELDS, REALTIME_ACTIONS, REALTIME_FIELDS
from ibkr_rebalancer.sandbox.venue.scenario import read_scenario
from ibkr_rebalancer.sandbox.venue.venue import Venue

__all__ = ["here"]

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "sandbox.md").read_text(encoding="utf-8")
CHANNELS_PAGE = (DOCS / "channels.md").read_text(encoding="utf-8")
SECTIONS, CHANNELS = (dict(re.findall(r"(?ms)^## (.*?)\n(.*?)(?=^## |\Z)", page)) for page in (PAGE, CHANNELS_PAGE))

SCENARIO_KEYS = {
    *scenario.SCENARIO_KEYS,
    *scenario.GATEWAY_KEYS,
    *scenario.ACCOUNT_KEYS,
    *scenario.HOLDING_KEYS,
    *scenario.CONTRACT_KEYS,
    *scenario.QUOTE_KEYS,
    *scenario.LISTING_KEYS,
    *scenario.FILLS_KEYS,
    *scenario.ANSWER_KEYS,
    *scenario.REALTIME_KEYS,
}
CURL = re.compile(r"(?m)^curl(?: -X (\w+))? \$URL(/\w+)?(?: -d '(.*)')?")
CURLS = CURL.findall(PAGE)
PARAMETERS = {
    **{action: tuple(fault_document.PARAMETER_KEYS.get(action, ())) for action in (*ACTIONS, *ORDER_ACTIONS)},
    "alter": ("FIELD",),
    "precede": ("FIELD",),
}
"""What each fault takes."""


def block(section: str, language: str, *, sections: dict[str, str] = SECTIONS) -> str:
    """The one code block of this language in a section."""
    (found,) = re.findall(rf"(?s)```{language}\n(.*?)```", sections[section])
    assert isinstance(found, str)
    return found


def test_its_first_steps_lead_to_a_plan_and_an_execution(here: Here) -> None:
    """As a newcomer takes them, but on free ports."""
    (command,) = block("Start it", "sh").splitlines()
    with here.start(*re.sub(r"\b(4002|8080|8081)\b", "0", command).split()[1:]) as sandbox:
        assert sandbox.stdout
        announced = json.loads(sandbox.stdout.readline())

        def here_so(text: str) -> str:
            for stated, port in {"4002": "gateway_port", "8080": "allocations_port", "8081": "ably_port"}.items():
                text = text.replace(stated, str(announced[port]))
            return text

        assert announced == json.loads(here_so(block("Start it", "json")))
        (here.folder / "accounts.yaml").write_text(here_so(block("Let rebalancer use it", "yaml")), encoding="utf-8")
        exported, *commands = (shlex.split(line) for line in here_so(block("Let rebalancer use it", "sh")).splitlines())
        here.set(**dict(word.split("=") for word in exported[1:]))
        assert [words[1] for words in commands] == ["plan", "execute"]
        for _, *arguments in commands:
            ended = here.run(*arguments)
            assert ended.exit_code == 0, ended
        sandbox.terminate()
    assert "order_message" in (here.folder / "frames.jsonl").read_text(encoding="utf-8")
    assert not here.sandbox.log


def test_its_scenario_is_one_and_shows_every_key() -> None:
    example = parse_scenario(block("A scenario", "yaml").encode(), name="docs/sandbox.md")
    Venue(read_scenario(example))
    assert {key for key in SCENARIO_KEYS if not re.search(rf"\b{key}\b", SECTIONS["A scenario"])} == set()


def test_it_shows_every_way_to_change_a_running_sandbox() -> None:
    paths = {path for _, path, _ in CURLS} | set(re.findall(r"(?m)^- `(/\w+)`", PAGE))
    assert paths == {"", "/order", "/notice", "/kick", "/correct", "/publish", "/disturb"}
    assert len(CURLS) == 11


@pytest.mark.parametrize(("method", "path", "body"), [*CURLS, *CURL.findall(CHANNELS_PAGE)])
async def test_its_changes_are_taken(method: str, path: str, body: str) -> None:
    given: Any = json.loads(body) if body else None
    async with (
        run_sandbox(load_scenario()) as sandbox,
        aiohttp.ClientSession() as http,
        http.request(method or "GET", sandbox.control_url + path, json=given) as response,
    ):
        assert response.status == 200, await response.text()


async def test_its_faults_can_strike() -> None:
    faults = parse_scenario(f"faults:\n{block('Faults', 'yaml')}".encode(), name="docs/sandbox.md")
    async with run_sandbox(load_scenario()) as sandbox:
        sandbox.change(faults)
        assert len(sandbox.state()["faults"]) == 5


def test_its_lists_of_faults_are_those_of_the_code() -> None:
    wire, market = (dict(_rows(table)) for table in SECTIONS["Faults"].split("To an order in the market"))
    assert [*wire] == [*ACTIONS]
    assert [*market] == [*ORDER_ACTIONS]
    assert wire | market == PARAMETERS


def test_it_names_all_messages_and_all_that_tells_an_order() -> None:
    listed = SECTIONS["Faults"].partition("\nThe messages: ")[2]
    layouts = (*FROM_CLIENT.values(), *TO_CLIENT.values())
    assert set(re.findall(r"`(\w+)`", listed)) == {*MOMENTS, *(layout.name for layout in layouts)}
    assert {field for field in ("symbol", *ORDER_FIELDS) if f"`{field}`" not in SECTIONS["Faults"]} == set()


def test_it_names_every_event_of_the_log() -> None:
    sources = Path(sandbox_sources.__file__).parent.rglob("*.py")
    written = {
        name
        for source in sources
        for name in re.findall(r"\"?event\"?[:=] ?\"(\w+)\"", source.read_text(encoding="utf-8"))
    }
    assert len(written) >= 10
    listed = SECTIONS["The log"] + CHANNELS["The log"]
    assert {name for name in written if f"`{name}`" not in listed} == set()


async def test_the_faults_of_the_channels_can_strike() -> None:
    faults = parse_scenario(f"faults:\n{block('Faults', 'yaml', sections=CHANNELS)}".encode(), name="docs/channels.md")
    async with run_sandbox(load_scenario()) as sandbox:
        sandbox.change(faults)
        assert len(sandbox.state()["faults"]) == 5


def test_the_lists_of_the_channels_are_those_of_the_code() -> None:
    whats, requests = CHANNELS["Faults"].split("\nAnything can be done to a frame")
    keys = fault_document.REALTIME_PARAMETER_KEYS
    assert dict(_rows(whats)) == {action: tuple(keys.get(action, ())) for action in REALTIME_ACTIONS} | {
        "alter": ("FIELD",)
    }
    assert tuple(re.findall(r"`([A-Z]+)`", requests.partition(". To what")[0])) == SENT
    rows = re.findall(r"(?m)^\| `(\w+)`.*? \| (`.*`) \|$", requests)
    assert {name: set(re.findall(r"`(\w+)`", listed)) for name, listed in rows} == {
        name: set(actions) for name, actions in REQUESTS.items()
    }
    assert {what: {*taken} for what, taken in _rows(CHANNELS["Change it while it runs"])} == {
        what: {*taken} for what, taken in DISTURBANCES.items()
    }
    assert {field for field in REALTIME_FIELDS if f"`{field}`" not in CHANNELS["Faults"]} == set()


async def test_the_clients_and_keys_of_the_channels_page_are_right() -> None:
    """Each line of it, on a free port."""
    async with run_sandbox(load_scenario()) as sandbox:
        state = sandbox.state()
        publish, show = re.findall(r"(?m)^curl -u (\S+) \$ABLY(\S+)(?: -d '(.*)')?$", CHANNELS["Connect to it"])
        assert (publish[0], show[0]) == (state["publisher_key"], sandbox.env["REALTIME_API_KEY"])
        for key, path, body in (publish, show):
            method = "POST" if body else "GET"
            given: Any = {"json": json.loads(body)} if body else {}
            status, shown, _ = await ask(sandbox, method, path, key=key, **given)
            assert status in {200, 201}
        assert [message["data"] for message in shown] == ['{"execution": "rebalance"}']
        code = block("Connect to it", "python", sections=CHANNELS).replace("8081", str(sandbox.ably_port))
        realtime, rest = (
            eval(line, {"AblyRealtime": AblyRealtime, "AblyRest": AblyRest, "key": show[0]})  # noqa: S307
            for line in code.splitlines()
        )
        await realtime.channels.get("rebalance-primary").attach()
        assert (await rest.channels.get("rebalance-primary").history()).items[0].data == {"execution": "rebalance"}
        await realtime.close()
        await rest.close()


def _rows(table: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each fault of a table with what it takes."""
    for action, taken in re.findall(r"(?m)^\| `(\w+)(?: \{(.*?)\})?` \|", table):
        yield action, tuple(taken.split(", ")) if taken else ()
