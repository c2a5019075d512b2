"""The table of error codes is the whole truth: what sources raise is in it, and what is in it is raised and tested."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import get_args

import pytest

from penstock import codes, errors
from penstock.targets import discovery

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/errors.md"
# Their `code` is a folder.
SPEC = {"Step", "Defaults"}
# What an f-string fills in.
ROLES = f"(?:{'|'.join(get_args(discovery.Kind))})"
Function = ast.FunctionDef | ast.AsyncFunctionDef


@functools.cache
def sources() -> dict[Path, ast.Module]:
    """The files of ours that may name codes, read once."""
    return {
        file: ast.parse(file.read_text())
        for top in ("framework", "backends", "plugins")
        for file in sorted((ROOT / top).rglob("*.py"))
        # The kit plants codes of its own, which no caller ever sees.
        if "testing" not in file.relative_to(ROOT).parts
        and file.name != "codes.py"
        # What an emulator refuses with are a cloud's codes.
        and not any(part.endswith("_emulator") for part in file.relative_to(ROOT).parts)
    }


@functools.cache
def nodes(file: Path) -> list[ast.AST]:
    """All nodes of one of them."""
    return list(ast.walk(sources()[file]))


def literals(node: ast.expr | None) -> Iterator[str]:
    """The texts that an expression may be; an f-string as a pattern, `~` in front."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=other):
            yield from (*literals(body), *literals(other))
        case ast.BoolOp(values=values):
            yield from (text for value in values for text in literals(value))
        case ast.JoinedStr(values=values):
            yield "~" + "".join(str(part.value) if isinstance(part, ast.Constant) else ROLES for part in values)


def names(function: Function) -> list[str]:
    """The positional parameters as a caller counts them."""
    found = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    return found[1:] if found[:1] in (["self"], ["cls"]) else found


def called(file: Path, call: ast.Call) -> Iterator[tuple[str, str]]:
    """How a definition may be found that is called: (module or class, name), either empty where it is not said."""
    match call.func:
        case ast.Name(id=name):
            yield (str(file), name) if name.startswith("_") else ("", name)
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            yield f"{file}.self", name
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            yield module, name


def takers() -> dict[tuple[str, str], int]:
    """Who takes a `code`, and as which positional argument."""
    found = {}
    for file, tree in sources().items():
        for node in tree.body:
            if isinstance(node, Function) and "code" in names(node):
                at = names(node).index("code")
                found |= {(str(file), node.name): at, (file.stem, node.name): at}
                found |= {} if node.name == "of" else {("", node.name): at}
            if isinstance(node, ast.ClassDef) and node.name not in SPEC:
                fields = [each.target.id for each in node.body if isinstance(each, ast.AnnAssign)]  # type: ignore[union-attr]  # a field is a name
                if "code" in fields and node.decorator_list:
                    found["", node.name] = fields.index("code")
                for method in node.body:
                    if isinstance(method, Function) and "code" in names(method):
                        where = ("", node.name) if method.name == "__init__" else (f"{file}.self", method.name)
                        found[where] = names(method).index("code")
    return found


def unpacked() -> Iterator[str]:
    """Codes that a function gives back in a tuple, which whoever calls it takes apart."""
    for file in sources():
        for node in nodes(file):
            target = getattr(node, "target", None) or next(iter(getattr(node, "targets", [])), None)
            value = getattr(node, "iter", None) or getattr(node, "value", None)
            if not isinstance(target, ast.Tuple) or not isinstance(value, ast.Call):
                continue
            at = [index for index, each in enumerate(target.elts) if isinstance(each, ast.Name) and each.id == "code"]
            for module, name in called(file, value) if at else ():
                for other, giver in defined(module, name, file):
                    yield from given(giver, at[0]) if other else ()


def defined(module: str, name: str, file: Path) -> Iterator[tuple[Path, Function]]:
    for other, tree in sources().items():
        if other == file or other.stem == module:
            yield from ((other, node) for node in tree.body if isinstance(node, Function) and node.name == name)


def given(function: Function, at: int) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Yield | ast.Return) and isinstance(node.value, ast.Tuple):
            yield from (text for text in literals(node.value.elts[at]) if text)


@functools.cache
def raised() -> frozenset[tuple[str, str]]:
    """Every code that the sources write down, with the name of what it is given to."""
    return frozenset(written())


def written() -> Iterator[tuple[str, str]]:
    known = takers()
    for file in sources():
        for node in nodes(file):
            match node:
                case ast.Call():
                    for where in called(file, node):
                        given_at = known.get(where)
                        values = [each.value for each in node.keywords if each.arg == "code" and where[1] not in SPEC]
                        values += node.args[given_at : given_at + 1] if given_at is not None else []
                        yield from ((text, where[1]) for value in values for text in literals(value))
                case ast.Assign(targets=[ast.Name(id="code")], value=value):
                    yield from ((text, "code =") for text in literals(value))
                case ast.AnnAssign(target=ast.Name(id="code"), value=value) if value is not None:
                    yield from ((text, "code:") for text in literals(value))
                case ast.arguments(args=args, defaults=defaults) if defaults:
                    last = zip(args[-len(defaults) :], defaults, strict=True)
                    yield from (
                        (text, "code=") for each, value in last if each.arg == "code" for text in literals(value)
                    )
    yield from ((text, "yield") for text in unpacked())


def matching(text: str, known: Iterable[str]) -> set[str]:
    """The codes that a literal stands for."""
    return {code for code in known if re.fullmatch(text.removeprefix("~"), code)}


def test_the_search_finds_codes_wherever_they_are_written() -> None:
    found = {text for text, _ in raised()}
    assert {"registry_busy", "step_not_started", "parameter_enum", "resources_clipped", "api_version_unknown"} <= found
    assert {"link_loop", "yaml_alias", "parameter_type", "command_invalid", f"~{ROLES}_ambiguous"} <= found
    assert len(found) > 100


def test_every_code_that_the_sources_write_is_in_the_table() -> None:
    unlisted = sorted({text for text, _ in raised() if not matching(text, codes.CODES)})
    assert not unlisted, f"raised, and no row in framework/penstock/codes.py: {unlisted}"


def test_every_code_of_the_table_is_written_in_the_sources() -> None:
    found = {code for text, _ in raised() for code in matching(text, codes.CODES)}
    found |= {kind.code for kind in codes.KINDS.values()}
    for file in sources():
        found |= {node.value for node in nodes(file) if isinstance(node, ast.Constant)}
    unused = sorted(set(codes.CODES) - found)
    assert not unused, f"a row in framework/penstock/codes.py, and raised nowhere: {unused}"
    assert len(codes.CODES) == len(codes._ALL)


def test_an_error_is_of_a_class_that_the_table_names_for_its_code() -> None:
    found = {(who, code) for text, who in raised() for code in matching(text, codes.CODES) if who in codes.KINDS}
    assert sorted(pair for pair in found if pair[0] not in codes.CODES[pair[1]].classes) == []
    assert [each.code for each in codes._ALL if not each.classes or set(each.classes) - set(codes.KINDS)] == []
    assert [kind.code for name, kind in codes.KINDS.items() if codes.CODES[kind.code].classes[0] != name] == []


def test_every_code_is_in_a_test() -> None:
    quoted = re.compile(r"""(["'])(\w+)\1""")
    tested = {
        found[2]
        for file in (ROOT / "tests").rglob("*.py")
        if file != Path(__file__)
        for found in quoted.finditer(re.sub(r"(?m)(^|\s)# .*$", "", file.read_text()))
    }
    assert sorted(set(codes.CODES) - tested) == []


def page() -> str:
    """The page of the documentation: what it says above its table, and the table as it has to be."""
    head, rule, _ = PAGE.read_text().partition("|---|---|---|---|---|\n")
    rows = []
    for each in codes._ALL:
        exits, statuses, _ = zip(*(codes.ending(name, each.code) for name in each.classes), strict=True)
        classes = [f"`{name}`" for name in each.classes]
        cells = (f"`{each.code}`", *(", ".join(map(str, cell)) for cell in (classes, exits, statuses)), each.meaning)
        rows.append(f"| {' | '.join(cells)} |\n")
    return head + rule + "".join(rows)


def test_the_page_of_the_documentation_is_the_table() -> None:
    assert PAGE.read_text() == page(), "`python tests/test_error_codes.py` writes docs/errors.md anew"


def of(name: str) -> Callable[..., errors.PenstockError]:
    found: Callable[..., errors.PenstockError] = getattr(errors, name)
    return found


@pytest.mark.parametrize("code", codes.CODES)
def test_an_error_ends_as_the_table_says(code: str) -> None:
    row = codes.CODES[code]
    for name in row.classes:
        error = of(name)("no", code=code)
        expected = codes.ending(name, code)
        assert (error.code, error.exit_code, error.http_status, error.retry_after) == (code, *expected)
        assert error.exit_code != 0 and 400 <= error.http_status < 600


def test_a_code_of_somebody_else_ends_as_its_class() -> None:
    class Quota(errors.TargetRefused):
        """An error of a backend that is not ours."""

    error = Quota("no quota left", code="acme_quota")
    assert (error.code, error.exit_code, error.http_status, error.retry_after) == ("acme_quota", 11, 502, 0)
    assert Quota("no").code == "dispatch_failed"


def test_what_may_succeed_later_says_when() -> None:
    busy = errors.RegistryError("busy", code="registry_busy")
    assert (busy.exit_code, busy.http_status, busy.retry_after) == (12, 503, 1)
    assert errors.TargetUnavailable("away").retry_after == 1
    assert errors.TargetUnavailable("away", retry_after=30).retry_after == 30
    assert errors.RegistryError("full", code="registry_disk_full").http_status == 503


if __name__ == "__main__":
    PAGE.write_text(page())
