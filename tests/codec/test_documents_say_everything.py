"""What cannot be read in one place hides nothing that is wrong in another."""

from __future__ import annotations

import pytest

from penstock.codec import parse_pipeline
from penstock.errors import SpecInvalid

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
