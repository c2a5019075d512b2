"""Every number and duration that can be configured has limits at both ends, and what is beyond is told.

Asked of every option that there is: of backends, plugins, the server and its issuers, as they declare them.
"""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from typing import Any

import pytest
from attrs import fields, has

from penstock.config import load_config, server_options
from penstock.config.oidc import OidcIssuer
from penstock.config.server import ServerOptions
from penstock.config.structuring import build_plugin, build_target
from penstock.errors import ConfigInvalid

NEEDED = {
    "local": "",
    "vertex": "project: acme-pipelines, staging: 'gs://bucket', ",
    "azureml": "subscription: 5e6f2a1c-0000-4000-8000-000000000001, resource_group: ml, workspace: ml-prod, ",
}
ISSUER = "issuer: 'https://issuer.example', audience: penstock, scopes: [{scope: read, claim: sub, value: me}], "
BEYOND = [
    *("99999999999999999999999", "-1", "-99999999999999999999999", "9" * 400),
    *(".nan", "nan", ".inf", "inf", "-.inf", "1e300", "-1e300", "1.0e+300", "-1s", "99999999999999999999d", "1e3d"),
]
"""As YAML and as a variable has it. Some are texts, which no number is."""


def backends() -> dict[str, type[Any]]:
    hooks = {one.name: one.load() for one in entry_points(group="penstock.backends") if one.name in NEEDED}
    assert hooks.keys() == NEEDED.keys()
    return {name: module.penstock_target_options() for name, module in hooks.items()}


def plugins() -> dict[str, type[Any]]:
    own = {one.name: one.load() for one in entry_points(group="penstock.plugins")}
    return {name: cls for name, cls in own.items() if isinstance(cls, type) and has(cls)}


def numbers(cls: type[Any]) -> list[str]:
    return [one.name for one in fields(cls) if one.init and re.search(r"\b(int|float)\b", str(one.type))]


OPTIONS = [
    *(("target", name, option) for name, cls in backends().items() for option in numbers(cls)),
    *(("plugin", name, option) for name, cls in plugins().items() for option in numbers(cls)),
    *(("server", "", option) for option in numbers(ServerOptions)),
    *(("issuer", "", option) for option in numbers(OidcIssuer)),
]


def read(write, kind: str, name: str, option: str, value: str, said: str) -> None:
    """Read a configuration in which one option has a value, in the file or in a variable."""
    written = f"{option}: {value}" if said == "file" else ""
    env = {}
    if kind == "target":
        text = f"targets: {{here: {{backend: {name}, {NEEDED[name]}{written}}}}}\n"
        env = {f"PENSTOCK_TARGETS_HERE_{option.upper()}": value}
    elif kind == "plugin":
        text = f"plugins: {{{name}: {{{written}}}}}\n"
    elif kind == "server":
        text = f"server: {{{written}}}\n"
        env = {f"PENSTOCK_SERVER_{option.upper()}": value}
    else:
        text = f"server: {{oidc: [{{{ISSUER}{written}}}]}}\n"
    config = load_config(write(text), env={} if said == "file" else env)
    if kind == "target":
        build_target(config, "here", backends()[name])
    elif kind == "plugin":
        build_plugin(config, name, plugins()[name])
    else:
        server_options(config, {})


def test_every_number_is_asked_here():
    assert {option for kind, name, option in OPTIONS if name == "local"} == {"slots", "grace", "idle"}
    assert {option for kind, name, option in OPTIONS if kind == "issuer"} == {"clock_skew"}
    vertex = {option for _, name, option in OPTIONS if name == "vertex"}
    assert vertex == {"poll_timeout", "log_settle", "cpu", "memory"}
    assert ("server", "", "max_requests") in OPTIONS and ("target", "azureml", "poll_timeout") in OPTIONS


@pytest.mark.sampled(15)
@pytest.mark.parametrize("said", ["file", "variable"])
@pytest.mark.parametrize(("kind", "name", "option"), OPTIONS)
def test_a_number_beyond_all_limits_is_refused_with_its_place(write, kind, name, option, said):
    if said == "variable" and kind in ("plugin", "issuer"):
        pytest.skip("no variable says options of plugins and issuers")
    for value in BEYOND:
        with pytest.raises(ConfigInvalid) as refused:
            read(write, kind, name, option, value, said)
            pytest.fail(f"{kind} {name} takes {option}: {value}")
        said_of_it = str(refused.value)
        assert option in said_of_it.lower() and len(said_of_it.splitlines()) == 1, (value, said_of_it)
        assert refused.value.exit_code == 4


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("kind", "name", "option"), OPTIONS)
def test_what_is_taken_fits_what_counts_and_waits(write, kind, name, option):
    """The largest number that is taken, found by halving, is one that SQLite, timers and sockets can hold."""
    least, most = 0, 10**30  # the least that is known to be taken, and what is known not to be
    while most - least > 1:
        middle = (least + most) // 2
        try:
            read(write, kind, name, option, f"{middle}", "file")
        except ConfigInvalid:
            most = middle
        else:
            least = middle
    assert 0 < least < 2**63
    if option in ("poll_timeout", "log_settle") or option.endswith("_seconds"):
        assert least * 1000 < 2**31  # milliseconds, as `poll` takes them
