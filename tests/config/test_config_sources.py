"""`allocations:` in accounts.yaml: one source and one layout, and keys in variables of the owner's own."""

from pathlib import Path

import pytest
from tests.config.test_config_accounts import finding_in, one_account

from ibkr_rebalancer.config.loading import load_settings
from ibkr_rebalancer.config.schema import ENVIRONMENT
from ibkr_rebalancer.config.settings import Settings
from ibkr_rebalancer.core.errors import ConfigError
from ibkr_rebalancer.core.layout import Format, Layout, WeightUnit
from ibkr_rebalancer.core.policy import ALLOCATIONS_API_KEY, Account

URL = "https://example.com/a"


def head(allocations: str) -> str:
    """An account with these keys under `allocations:`, in its third line."""
    return f"account_id: U1234567\nnotification: {{channel: news}}\nallocations: {{{allocations}}}\n"


def account(allocations: str) -> Account:
    return one_account(head=head(allocations))


@pytest.mark.parametrize(
    ("allocations", "layout"),
    [
        (f"url: '{URL}'", None),
        (f"url: '{URL}', api_key_env: GROWTH_KEY, allow_http: false", None),
        ("file: targets.json", None),
        ("file: targets.csv", Layout(format=Format.CSV)),
        (
            "file: targets.CSV, symbol: Ticker, weight: 1, unit: percent",
            Layout(format=Format.CSV, symbol="Ticker", weight="1", unit=WeightUnit.PERCENT),
        ),
        (
            f"url: '{URL}', rows: data.rows, symbol: 1, weight: a.b, unit: fraction, name: x, date: y z",
            Layout(rows="data.rows", symbol="1", weight="a.b", name="x", date="y z"),
        ),
        (f"url: '{URL}', by_symbol: ., unit: percent", Layout(by_symbol=".", unit=WeightUnit.PERCENT)),
    ],
)
def test_the_layout_of_a_source(allocations: str, layout: Layout | None) -> None:
    assert account(allocations).layout == layout


@pytest.mark.parametrize(
    ("file", "url"),
    [
        ("targets.csv", "file:///etc/rebalancer/targets.csv"),
        ("a b/c%41#?.json", "file:///etc/rebalancer/a%20b/c%2541%23%3F.json"),
        ("/srv/targets.csv", "file:///srv/targets.csv"),
        ("../targets.csv", "file:///etc/rebalancer/../targets.csv"),
    ],
)
def test_a_file_lies_beside_accounts_yaml(file: str, url: str) -> None:
    assert account(f"file: '{file}'").allocations_url == url


@pytest.mark.parametrize(
    ("allocations", "code", "sentence"),
    [
        ("unit: percent", "CONFIG_MISSING_KEY", "allocations.url is missing, and so is allocations.file."),
        (f"file: a.csv, url: '{URL}'", "CONFIG_CONFLICT", "allocations.file leaves no meaning to url."),
        ("file: a.csv, allow_http: true", "CONFIG_CONFLICT", "allocations.file leaves no meaning to allow_http."),
        ("file: a.json, api_key_env: K", "CONFIG_CONFLICT", "allocations.file leaves no meaning to api_key_env."),
        ("file: a.csv, rows: x, date: y", "CONFIG_CONFLICT", "allocations.file leaves no meaning to rows, date."),
        ("file: a.csv, by_symbol: x, name: y", "CONFIG_CONFLICT", "leaves no meaning to by_symbol, name."),
        ("file: a.json, by_symbol: x, rows: y", "CONFIG_CONFLICT", "allocations.by_symbol leaves no meaning to rows."),
        (f"url: '{URL}', by_symbol: x, weight: y", "CONFIG_CONFLICT", "leaves no meaning to weight."),
        (f"url: '{URL}', symbol: 2, weight: 2", "CONFIG_CONFLICT", "symbol and allocations.weight are both '2'."),
        ("file: a.csv, weight: symbol", "CONFIG_CONFLICT", "symbol and allocations.weight are both 'symbol'."),
        ("file: a.csv, symbol: allocation", "CONFIG_CONFLICT", "and allocations.weight are both 'allocation'."),
        ("file: a.xlsx", "CONFIG_INVALID_VALUE", "it must be a path that ends in .json or .csv."),
        ("file: ''", "CONFIG_INVALID_VALUE", "allocations.file is ''"),
        ("file: ' a.csv'", "CONFIG_INVALID_VALUE", "allocations.file is ' a.csv'"),
        (f"url: '{URL}', rows: ''", "CONFIG_INVALID_VALUE", "allocations.rows is ''"),
        (f"url: '{URL}', symbol: ' a'", "CONFIG_INVALID_VALUE", "allocations.symbol is ' a'"),
        (f"url: '{URL}', unit: '%'", "CONFIG_INVALID_VALUE", "it must be fraction or percent."),
        (f"url: '{URL}', list: x", "CONFIG_UNKNOWN_KEY", "'list' is not a key that this version knows in allocations."),
        ("url: 'file:///etc/passwd'", "CONFIG_INVALID_VALUE", "allocations.url cannot be used"),
    ],
)
def test_keys_that_do_not_go_together(allocations: str, code: str, sentence: str) -> None:
    finding = finding_in(head=head(allocations))
    assert (finding.code, finding.line, sentence in finding.sentence) == (code, 3, True), finding.sentence


@pytest.mark.parametrize(
    "name",
    [*sorted(ENVIRONMENT.keys() - {ALLOCATIONS_API_KEY}), "IBKR_PASSWORD", "A_FILE", "a", "A-B", "1A", "", "$A", "A\n"],
)
def test_a_variable_that_has_another_meaning_is_sent_to_nobody(name: str) -> None:
    finding = finding_in(head=head(f'url: "{URL}", api_key_env: {name!r}'.replace("'", '"')))
    assert finding.sentence.endswith("it must be a name of capitals that has no other meaning here.")


def test_the_common_key_may_be_named(tmp_path: Path) -> None:
    put(tmp_path, "ALLOCATIONS_API_KEY")
    assert load(tmp_path).allocations_api_keys == {}
    assert load(tmp_path, ALLOCATIONS_API_KEY="k").allocations_api_keys == {"ALLOCATIONS_API_KEY": "k"}


def put(folder: Path, key_name: str, *, more: str = "") -> None:
    (folder / "accounts.yaml").write_text(
        f"- account_id: DU123456\n  notification: {{channel: news}}\n"
        f'  allocations: {{url: "{URL}", api_key_env: {key_name}}}\n{more}',
        encoding="utf-8",
    )


def put_dotenv(folder: Path, text: str) -> Path:
    path = folder / ".env"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def load(folder: Path, **environ: str) -> Settings:
    return load_settings(None, environ=environ, cwd=folder)


def refusal(folder: Path, **environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(folder, **environ)
    return caught.value


def test_a_key_of_its_own_is_set_like_the_others(tmp_path: Path) -> None:
    """And it is a secret like them."""
    put(tmp_path, "ALLOCATIONS_API_KEY_2")
    (tmp_path / "key").write_text("hunter2\n", encoding="utf-8")
    expected = {"ALLOCATIONS_API_KEY_2": "hunter2"}

    for environ in ({"ALLOCATIONS_API_KEY_2": "hunter2"}, {"ALLOCATIONS_API_KEY_2_FILE": "key"}):
        assert load(tmp_path, **environ).allocations_api_keys == expected
    put_dotenv(tmp_path, "ALLOCATIONS_API_KEY_2=hunter2\n")
    settings = load(tmp_path)
    assert (settings.allocations_api_keys, settings.warnings) == (expected, ())
    assert settings.secrets == ("hunter2",)
    assert "hunter2" not in repr(settings)
    put_dotenv(tmp_path, "ALLOCATIONS_API_KEY_2_FILE=key\n")
    assert load(tmp_path).allocations_api_keys == expected
    assert refusal(tmp_path, ALLOCATIONS_API_KEY_2="x").code == "CONFIG_CONFLICT"


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("GROWTH_KEY=hunter1\nGROWTH_KEY=hunter2\n", "CONFIG_DUPLICATE_KEY", ":2: GROWTH_KEY stands here again"),
        ("GROWTH_KEY hunter2\n", "CONFIG_SYNTAX", ":1: This line begins with GROWTH_KEY, but does not set it."),
        ("GROWTH_KEY='hunter 2'\n", "CONFIG_INVALID_VALUE", ":1: GROWTH_KEY cannot be used"),
    ],
)
def test_a_dotenv_that_leaves_the_key_open(tmp_path: Path, text: str, code: str, said: str) -> None:
    put(tmp_path, "GROWTH_KEY")
    path = put_dotenv(tmp_path, text)
    error = refusal(tmp_path)
    assert (error.code, f"{path}{said}" in error.message) == (code, True), error.message
    assert "hunter" not in error.message + error.hint


def test_a_name_like_that_of_the_key_is_told(tmp_path: Path) -> None:
    put(tmp_path, "GROWTH_KEY")
    path = put_dotenv(tmp_path, "GROWTH_KEYS=x\n")
    assert load(tmp_path, GROWTH_KEY="k").warnings == (f"{path}:1: GROWTH_KEYS is not read. Did you mean GROWTH_KEY?",)


def test_a_key_that_is_not_set(tmp_path: Path) -> None:
    """Only an account that takes part needs it."""
    put(tmp_path, "GROWTH_KEY")
    error = refusal(tmp_path, ALLOCATIONS_API_KEY="k")
    assert (error.code, error.message, error.hint) == (
        "CONFIG_MISSING_KEY",
        f"{tmp_path}/accounts.yaml: the key for the targets of DU123456 is to be in GROWTH_KEY, which is not set.",
        "Set GROWTH_KEY, or GROWTH_KEY_FILE, in the environment or in .env.",
    )
    put(tmp_path, "GROWTH_KEY", more="  enabled: false\n")
    assert load(tmp_path).allocations_api_keys == {}
