"""The options of the server: what cannot be is told with its place, before anything is served."""

from __future__ import annotations

import pytest

from penstock.config import load_config, server_options
from penstock.errors import ConfigInvalid


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("public_url", "penstock.example", "write it with `https://`"),
        ("public_url", "localhost:8642", "write it with `https://`"),
        ("public_url", "ftp://penstock.example", "write it with `https://`"),
        ("public_url", "//penstock.example", "write it with `https://`"),
        ("public_url", "'https:///'", "write it with `https://`"),
        ("public_url", "'https://penstock.example/?a=1'", "no query"),
        ("public_url", "'https://penstock.example:port'", "not a URL"),
        ("public_url", "'https://pen stock.example'", "no spaces"),
        ("allow_origins", "[pages.example]", "`pages.example`: write it with `https://`"),
        ("allow_origins", "['https://pages.example/']", "an origin has no path"),
        ("port", "65536", "at most 65535, got 65536"),
        ("head_seconds", "0", "more than 0"),
        ("body_seconds", "86400", "less than 86400"),
        ("write_seconds", "-1", "more than 0"),
        ("max_body_bytes", "0", "at least 1, got"),
        ("max_header_bytes", "-5", "at least 1, got"),
        ("max_url_bytes", "0", "at least 1, got"),
        ("max_requests", "0", "at least 1, got"),
        ("anonymous_per_minute", "0", "--private"),
        ("max_unfinished_runs", "0", "leave it out for no limit"),
    ],
)
def test_an_option_of_the_server_that_cannot_be_is_told_with_its_place(write, option, value, said):
    for text, env, place in (
        (f"server:\n  {option}: {value}\n", {}, f"penstock.yaml:2:{len(option) + 5}"),
        ("server: {}\n", {f"PENSTOCK_SERVER_{option.upper()}": value}, f"PENSTOCK_SERVER_{option.upper()}"),
    ):
        with pytest.raises(ConfigInvalid) as raised:
            server_options(load_config(write(text), env={k: v.strip("'") for k, v in env.items()}), {})
        assert str(raised.value).startswith(f"{place}: $.server.{option}: ")
        assert said in str(raised.value)
        assert raised.value.code == "value_invalid"


def test_a_public_url_may_have_a_port_and_a_path(write):
    for url in ("https://penstock.example", "http://127.0.0.1:8642/", "https://example/penstock"):
        assert server_options(load_config(write(f"server: {{public_url: '{url}'}}\n"), env={}), {}).public_url == url
