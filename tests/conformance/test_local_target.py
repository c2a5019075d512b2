"""The local backend takes the whole kit, and README shows what came of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from penstock.cli.commands.conformance import markdown
from penstock.testing import DEEP, LAWS, Conformance, Report
from penstock.testing.checks import CHECKS
from penstock.testing.examination import result_of

README = (Path(__file__).parents[2] / "README.md").read_text()


class TestLocal(Conformance):
    @pytest.fixture(scope="class")
    @classmethod
    def options(cls, tmp_path_factory, engines_end):
        folder = tmp_path_factory.mktemp("local")
        yield {"backend": "local", "root": str(folder / "root"), "idle": "2s"}
        engines_end(folder)

    @pytest.fixture(scope="class")
    @classmethod
    def other_options(cls, options):
        return {**options, "root": f"{options['root']}-again"}

    def test_readme_shows_what_came_of_it(self, harness, outcomes):
        if len(outcomes) < len(CHECKS):
            pytest.skip("only a part of the kit was asked in this session")
        laws = tuple(result_of(law.number, outcomes) for law in LAWS)
        shown = re.search(r"^\| law \| `local` \| \|\n(?:\|.*\n)+", README, flags=re.M)
        assert shown is not None
        assert shown[0].splitlines() == markdown(Report(target="local", seed=harness.seed, laws=laws))


@pytest.mark.slow
@pytest.mark.timeout(1800)
class TestLocalInDepth(TestLocal):
    profile = DEEP
