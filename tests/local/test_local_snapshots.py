"""What a snapshot brings to a step on this machine, and what is said when the machine cannot hold it."""

from __future__ import annotations

from penstock.spec import Step


def test_values_of_steps_that_no_argument_holds_are_told_with_their_size(place):
    write = Step(
        command=["sh", "-c", 'head -c 65536 /dev/zero | tr "\\0" x > "$1"', "sh", "${{ outputs.long }}"],
        outputs={"long": "string"},
    )
    read = Step(command=["echo", "${{ inputs.a }}${{ inputs.a }}"], inputs={"a": "${{ steps.write.outputs.long }}"})
    report = place.wait(place.submit({"write": write, "read": read}))
    assert report.error.code == "step_not_started"
    assert "more than the kernel takes, the longest is 131,072 bytes; pass what is long" in report.error.message
