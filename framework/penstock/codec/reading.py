"""YAML 1.2 text to plain data, every value and key with its position, so that any later error can say where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from attrs import define, field

from penstock.codec.parsing import check_text, events, refused, resolve, syntax, veil
from penstock.errors import Path, Problem, SpecInvalid

MAX_DEPTH = 100
"""How deep a document may be nested."""

_MOST_PROBLEMS = 50


@define
class _Node:
    """Where a value begins, and the same for what is inside it. `keys` holds where each key stands."""

    at: tuple[int, int]
    inner: dict[str | int, _Node] = field(factory=dict)
    keys: dict[str | int, tuple[int, int]] = field(factory=dict)


class Document:
    """Plain data as it was read from `source`, and where in it everything stands.

    `problems` are those of the writing that do not stand in the way of reading on; see `read_yaml`.
    """

    def __init__(self, source: str, data: Any, root: _Node, problems: Sequence[Problem] = ()) -> None:
        self.source = source
        self.data = data
        self.problems = tuple(problems)
        self._root = root

    def position(self, path: Path) -> str:
        """`source:line:column`, one-based, of the value at a path, or of the nearest thing around it."""
        return self._written(self.line_column(path))

    def key_position(self, path: Path) -> str:
        """The same for the key of the value at a path; items of a list have none, so then it is the item."""
        return self._written(self.key_line_column(path))

    def line_column(self, path: Path) -> tuple[int, int]:
        """Line and column of the value at a path, one-based: what problems are sorted by."""
        *_, (_, value) = self._walk(path)
        return value

    def key_line_column(self, path: Path) -> tuple[int, int]:
        """Line and column of the key of the value at a path."""
        *_, (key, _) = self._walk(path)
        return key

    def _walk(self, path: Path) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        node = self._root
        yield node.at, node.at
        for part in path:
            inside = node.inner.get(part)
            if inside is None:
                return
            yield node.keys.get(part, inside.at), inside.at
            node = inside

    def _written(self, at: tuple[int, int]) -> str:
        return f"{self.source}:{at[0]}:{at[1]}"


def read_yaml(text: str, source: str, *, read_on: bool = False) -> Document:
    """Read one YAML 1.2 document (JSON is one too). `source` names it in errors.

    With `read_on` a key that is there twice is noted in the document's `problems`, so that it can be told together
    with all else that is wrong; the caller must not take a document that has any.

    Raises SpecInvalid: `document_too_large`, `document_empty`, `document_too_deep`, `yaml_syntax`, `yaml_alias`,
    `yaml_tag`, `duplicate_key`, `key_invalid`, `text_invalid`.
    """
    text = text.removeprefix("\ufeff")
    check_text(text, source)
    text, veiled = veil(text)
    composer = _Composer(source, veiled)
    try:
        for event in events(text):
            composer.add(event)
    except yaml.MarkedYAMLError as error:
        composer.problem("yaml_syntax", *syntax(error, text))
    except yaml.YAMLError as error:
        composer.problem("yaml_syntax", " ".join(str(error).split()), (1, 1), "write the file as UTF-8 text")
    return composer.finish(read_on)


@define
class _Open:
    """A list or mapping that is being read; in a mapping, the key whose value comes next."""

    node: _Node
    data: Any
    part: str | int
    key: str | None = None
    key_at: tuple[int, int] = (1, 1)


class _Composer:
    """Builds data and positions from events, with a stack of its own, so that no nesting can exhaust Python's."""

    def __init__(self, source: str, veiled: dict[int, str]) -> None:
        self._source = source
        self._veiled = veiled
        self._problems: list[Problem] = []
        self._stack: list[_Open] = []
        self._root: tuple[_Node, Any] | None = None

    def problem(self, code: str, message: str, at: tuple[int, int], hint: str = "") -> None:
        """Note a problem at the value or key that comes next. Raises SpecInvalid once there are too many."""
        where = f"{self._source}:{at[0]}:{at[1]}"
        self._problems.append(Problem(code, message, self._path(), where, hint))
        if len(self._problems) >= _MOST_PROBLEMS:
            raise SpecInvalid.of(self._problems, self._source)

    def finish(self, read_on: bool) -> Document:
        if self._problems and not (read_on and all(found.code == "duplicate_key" for found in self._problems)):
            raise SpecInvalid.of(self._problems, self._source)
        node, data = self._root or (_Node((1, 1)), None)
        if data is None:
            raise refused(self._source, node.at, "document_empty", "the document is empty")
        return Document(self._source, data, node, self._problems)

    def add(self, event: yaml.Event) -> None:
        mark = event.start_mark
        at = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if isinstance(event, yaml.DocumentStartEvent) and self._root:
            self.problem("yaml_syntax", "a second document begins here", at, "write one document per file")
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._stack.pop()
        elif isinstance(event, yaml.NodeEvent):
            self._node(event, at)

    def _node(self, event: yaml.NodeEvent, at: tuple[int, int]) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.data, dict) and top.key is None:
            top.key, top.key_at = self._key(event, top, at), at
            if isinstance(event, yaml.CollectionStartEvent):
                self._push(_Node(at), {} if isinstance(event, yaml.MappingStartEvent) else [], top.key)
            return
        self._refuse_graph(event, at)
        node = _Node(at)
        if isinstance(event, yaml.CollectionStartEvent):
            data: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
            part = self._part() if self._stack else ""
            self._attach(node, data)
            self._push(node, data, part)
        else:
            self._attach(node, self._scalar(event, at) if isinstance(event, yaml.ScalarEvent) else None)

    def _refuse_graph(self, event: yaml.NodeEvent, at: tuple[int, int]) -> None:
        """Refuse what makes YAML more than a tree of plain data; an alias bomb cannot even begin."""
        if event.anchor is not None:
            alias = isinstance(event, yaml.AliasEvent)
            what = f"an alias (`*{event.anchor[:40]}`)" if alias else f"an anchor (`&{event.anchor[:40]}`)"
            self.problem("yaml_alias", f"{what} is not allowed", at, "write the value where it is used")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self.problem("yaml_tag", f"a tag (`{tag[:40]}`) is not allowed", at, "write the value without it")

    def _push(self, node: _Node, data: Any, part: str | int) -> None:
        self._stack.append(_Open(node, data, part))
        if len(self._stack) > MAX_DEPTH:
            message = f"the document is nested more than {MAX_DEPTH} deep"
            raise refused(self._source, node.at, "document_too_deep", message)

    def _attach(self, node: _Node, data: Any) -> None:
        if not self._stack:
            self._root = self._root or (node, data)
            return
        top = self._stack[-1]
        if isinstance(top.data, list):
            top.node.inner[len(top.data)] = node
            top.data.append(data)
        else:
            assert top.key is not None
            top.node.inner[top.key], top.node.keys[top.key] = node, top.key_at
            top.data[top.key], top.key = data, None

    def _scalar(self, event: yaml.ScalarEvent, at: tuple[int, int]) -> Any:
        text = self._text(event)
        if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            if "\ufffd" in text and "\ufffd" not in event.value:
                self.problem("text_invalid", "a lone surrogate is not Unicode text", at)
        if not event.implicit[0]:
            return text
        try:
            return resolve(text)
        except ValueError:
            self.problem("value_invalid", "the number has too many digits", at, "write it in quotes, as text")
            return None

    def _key(self, event: yaml.NodeEvent, top: _Open, at: tuple[int, int]) -> str:
        self._refuse_graph(event, at)
        if isinstance(event, yaml.AliasEvent):
            return ""
        written = self._text(event) if isinstance(event, yaml.ScalarEvent) else ""
        value = self._scalar(event, at) if isinstance(event, yaml.ScalarEvent) else None
        if isinstance(value, bool) or not isinstance(value, str | int):
            shown = f"`{written[:40]}`" if written else "this"
            self.problem("key_invalid", f"a key is text, which {shown} is not", at, "write it in quotes")
            return ""
        # Existing callers have parameters named 1: an integer key is the text that stands there.
        key = value if isinstance(value, str) else written
        if key in top.data:
            top.key = key
            first = "{}:{}".format(*top.node.keys[key])
            self.problem("duplicate_key", f"the key `{key[:40]}` is there already, at {first}", at)
        return key

    def _text(self, event: yaml.ScalarEvent) -> str:
        text: str = event.value
        return text.translate(self._veiled) if self._veiled else text

    def _path(self) -> Path:
        around = [top.part for top in self._stack[1:]]
        return (*around, self._part()) if self._stack and self._part() != "" else tuple(around)

    def _part(self) -> str | int:
        top = self._stack[-1]
        return len(top.data) if isinstance(top.data, list) else top.key or ""
