"""What a step can run on: images, cores, memory, accelerators; asked of steps and of a target's own defaults alike."""

from __future__ import annotations

import re

from penstock.errors import did_you_mean
from penstock.spec.quantity import bytes_text

MOST_CORES = 96
MOST_MEMORY = 624 * 2**30
"""What a step can have at most (Google: machine types of pipeline steps)."""

ACCELERATORS: frozenset[str] = frozenset(
    {
        "NVIDIA_A100_80GB",
        "NVIDIA_B200",
        "NVIDIA_GB200",
        "NVIDIA_H100_80GB",
        "NVIDIA_H100_MEGA_80GB",
        "NVIDIA_H200_141GB",
        "NVIDIA_L4",
        "NVIDIA_RTX_PRO_6000",
        "NVIDIA_TESLA_A100",
        "NVIDIA_TESLA_K80",
        "NVIDIA_TESLA_P100",
        "NVIDIA_TESLA_P4",
        "NVIDIA_TESLA_T4",
        "NVIDIA_TESLA_V100",
        "TPU_V2",
        "TPU_V3",
        "TPU_V4_POD",
        "TPU_V5_LITEPOD",
    }
)
"""The accelerators that Google's client knows (`aiplatform_v1.AcceleratorType`)."""

COUNTS = (1, 2, 4, 8, 16)
"""How many accelerators one container can have (kfp: `set_accelerator_limit`)."""

# An image's name is one of the IR's texts that placeholders are replaced in.
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")


def image_problem(image: str) -> str | None:
    """What is wrong with an image's name, or None."""
    return None if _IMAGE.fullmatch(image) else f"`{image[:80]}` is no container image"


def cores_problem(cores: float | None) -> str | None:
    """What is wrong with so many cores, or None."""
    if cores is None or cores <= MOST_CORES:
        return None
    return f"{cores} cores are more than the {MOST_CORES} that a step can have"


def memory_problem(memory: int | None) -> str | None:
    """What is wrong with so many bytes of memory, or None."""
    if memory is None or memory <= MOST_MEMORY:
        return None
    return f"{bytes_text(memory)} of memory are more than the {bytes_text(MOST_MEMORY)} a step can have"


def accelerator_problem(name: str | None) -> str | None:
    """What is wrong with an accelerator's name, or None."""
    if name is None or name in ACCELERATORS:
        return None
    near = sorted(one for one in ACCELERATORS if name.upper() in one.split("_"))
    hint = f"did you mean `{near[0]}`?" if near else did_you_mean(name, ACCELERATORS)
    return f"Vertex AI has no accelerator `{name[:80]}` ({hint})"
