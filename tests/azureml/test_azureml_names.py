"""Names that Azure refuses are renamed, no two the same, and come back as they were."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.codec import structure
from penstock.errors import PenstockError
from penstock_azureml.names import component_name, is_pipeline, node_name, own_name, port_names, tag_problem
from penstock_azureml.options import AzuremlOptions

KEYS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,12}", fullmatch=True) | st.sampled_from(
    ["1", "a-b", "a_b", "A-B", "x_1", "X_1", "x__d", "_", "x_", "penstock_values", "Penstock_report", "x_ua", "ua"]
)
WHERE = {"subscription": "5e6f2a1c-0000-4000-8000-000000000001", "resource_group": "ml", "workspace": "prod"}


@given(st.sets(KEYS, max_size=12))
@example({"a", "A"})
@example({"x_ua", "A", "a"})
def test_inputs_and_outputs_come_back(keys):
    ports = port_names(keys)
    assert {own_name(port) for port in ports.values()} == keys
    assert all(own_name(port) == key for key, port in ports.items())
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", port) for port in ports.values())
    assert len({port.lower() for port in ports.values()}) == len(keys), "Azure takes no two that differ by case alone"
    assert not any(port.lower().startswith("penstock_") for port in ports.values())


@given(st.sets(KEYS, max_size=12))
def test_steps_come_back(keys):
    nodes = {key: node_name(key) for key in keys}
    assert len(set(nodes.values())) == len(keys)
    assert all(re.fullmatch(r"[a-z_][a-z0-9_]*", node) and own_name(node) == key for key, node in nodes.items())


@pytest.mark.parametrize("key", ["max_depth", "trees", "maxDepth", "_private"])
def test_a_name_that_azure_takes_stays(key):
    assert port_names([key, "other"])[key] == key


PIPELINES = st.text(min_size=1, max_size=60) | st.sampled_from(
    ["a", "A", "a_b", "step", "step_a_b", "step__a__ca978112__b", f"a_{sha256(b'A').hexdigest()[:8]}", "_", "é"]
)
STEPS = st.none() | KEYS | st.sampled_from(["b", "c", "b_c", "ca978112__b"])


@given(st.sets(st.tuples(PIPELINES, STEPS), min_size=2, max_size=6))
@example({("step_a_b", None), ("a", "b")})
@example({("a_b", "c"), ("a", "b_c")})
@example({("A", None), (f"a_{sha256(b'A').hexdigest()[:8]}", None)})
def test_no_two_pipelines_or_steps_have_one_component(named):
    made = {component_name(*one): one for one in named}
    assert len(made) == len(named)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{0,254}", name) for name in made)
    assert all(is_pipeline(name) == (step is None) for name, (_, step) in made.items())


def test_a_tag_that_azure_refuses_is_told():
    assert tag_problem("team", "ml") is None
    assert "holds '%'" in str(tag_problem("a%", ""))
    assert "at most 256" in str(tag_problem("a", "x" * 257))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"subscription": "acme"}, "no subscription"),
        ({"workspace": "a/b"}, "no workspace"),
        ({"credentials": "anonymous"}, "is for an emulator"),
        ({"credentials": "service_principal"}, "needs `tenant` and `client_id`"),
        ({"resource_manager": "http://127.0.0.1:1"}, "no address"),
        ({"resource_manager": "https://u@127.0.0.1:1"}, "no address"),
        ({"labels": {"penstock_run": "x"}}, "penstock's own"),
        ({"compute": "cpu cluster"}, "no compute"),
    ],
)
def test_an_option_that_is_wrong_is_told(options, says):
    with pytest.raises(PenstockError, match=re.escape(says)):
        structure({**WHERE, **options}, AzuremlOptions)
