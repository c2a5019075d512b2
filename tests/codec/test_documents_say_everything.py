"""What cannot be read in one place hides nothing that is wrong in another."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.codec import parse_pipeline
from penstock.errors import SpecInvalid

HEAD = "apiVersion: penstock/v1\nkind: Pipeline\nname: x\n"

TEXT = """\
apiVersion: penstock/v2
kind: Pipeline
name: x
steps:
  one:
    command: "echo 'unclosed"
    outputs: {o: fil}
    timeout: 5x
  two:
    command: [echo, "${{ inputs.q }}"]
    after: [c]
  three:
    command: [echo, "${{ parameters.zz }}"]
    inputs: {t: "${{ steps.two.outputs.nope }}"}
outputs:
  r: "${{ steps.two.outputs.z }}"
"""


def test_unreadable_and_dangling_come_in_one_answer():
    with pytest.raises(SpecInvalid) as refused:
        parse_pipeline(TEXT, "p.yaml")
    assert [detail.where for detail in refused.value.details] == [
        "p.yaml:1:13",
        "p.yaml:6:14",
        "p.yaml:7:18",
        "p.yaml:8:14",
        "p.yaml:10:21",
        "p.yaml:11:13",
        "p.yaml:13:21",
        "p.yaml:14:17",
        "p.yaml:16:6",
    ]


WRONG = {
    "${{ x }}": ("placeholder_invalid", "`${{ x }}` is not a placeholder"),
    "${{ inputs.a": ("placeholder_invalid", "`${{ inputs.a` is not a placeholder"),
    "> out.txt": ("shell_operator", "`>` has no meaning here"),
    "${{ inputs.nope }}": ("reference_unknown", "there is no input `nope`"),
    "${{ parameters.gone }}": ("reference_unknown", "there is no parameter `gone`"),
}


@given(st.lists(st.sampled_from([*WRONG, "python", "'a b'", "${{ outputs.o }}"]), min_size=1, max_size=7, unique=True))
def test_a_command_is_told_all_that_is_wrong_with_it(words):
    command = json.dumps(" ".join(["echo", *words]))
    text = f"{HEAD}steps: {{a: {{command: {command}, outputs: {{o: file}}}}}}\n"
    expected = {WRONG[word] for word in words if word in WRONG}
    try:
        parse_pipeline(text)
        details = ()
    except SpecInvalid as error:
        details = error.details
    assert {(one.code, next((said for _, said in expected if said in one.message), "")) for one in details} == expected
    assert len(details) == len(expected)
    assert all(one.path[:3] == ("steps", "a", "command") for one in details)


def test_files_that_are_missing_are_told_with_the_rest(tmp_path, workspace):
    text = (
        HEAD
        + """\
parameters: {table: {type: file, default: ./missing.csv}, rate: {type: nubmer}}
defaults: {code: ./src}
steps:
  a: {command: [echo], inputs: {x: "${{ parameters.tabel }}"}}
  b: {command: [echo], code: p.yaml}
"""
    )
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(SpecInvalid) as refused:
        workspace.pipelines.validate(tmp_path / "p.yaml")
    assert [(one.code, one.where.rpartition("p.yaml:")[2]) for one in refused.value.details] == [
        ("file_not_found", "4:43"),
        ("type_mismatch", "4:72"),
        ("file_not_found", "5:18"),
        ("reference_unknown", "7:36"),
        ("not_a_folder", "8:30"),
    ]
