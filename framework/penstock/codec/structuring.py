"""Plain data to attrs classes without silent coercions, all problems at once, each with its path and place."""

from __future__ import annotations

import contextlib
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from cattrs import Converter
from cattrs.errors import IterableValidationError, IterableValidationNote, StructureHandlerNotFoundError
from cattrs.gen import make_dict_structure_fn, override

from penstock.codec import shapes
from penstock.codec.details import Mismatch, details_of, located
from penstock.errors import BackendBroken, Path, SpecInvalid, did_you_mean
from penstock.spec.keys import about
from penstock.spec.values import ELSEWHERE, TYPES, describe

if TYPE_CHECKING:
    from penstock.codec.reading import Document

T = TypeVar("T")
Hook = Callable[[Any, Any], Any]


def structure(data: Any, cls: type[T], document: Document | None = None, prefix: Path = ()) -> T:
    """Build an instance of an attrs class from plain data.

    `prefix` is where the data stands in `document`, which fills in file, line and column. Keys of classes of
    `penstock.spec` are camelCase, of every other class the attribute names. Raises SpecInvalid with everything
    that is wrong: `unknown_key`, `missing_key`, `type_mismatch`, and what converters and validators say (their
    `code`, else `value_invalid`). Raises BackendBroken for a class with a field that no document can carry.
    """
    try:
        return _converter.structure(data, cls)
    except StructureHandlerNotFoundError as error:
        name = f"{cls.__module__}.{cls.__qualname__}"
        raise BackendBroken(f"{name} has a field of a type that no document can carry: {error}") from None
    except NameError as error:
        name = f"{cls.__module__}.{cls.__qualname__}"
        raise BackendBroken(f"the field types of {name} cannot be resolved at run time: {error}") from None
    except Exception as error:
        details = [detail.under(*prefix) for detail in details_of(error)]
        raise SpecInvalid.of(located(details, document), document.source if document else "") from None


def _attrs_hook(cls: type) -> Hook:
    attrs.resolve_types(cls)
    overrides = {
        field.name: override(rename=shapes.key_of(cls, field.name), struct_hook=_field_hook(field))
        for field in attrs.fields(cls)
        if field.init
    }
    build: Hook = make_dict_structure_fn(
        cls,
        _converter,
        _cattrs_forbid_extra_keys=True,
        _cattrs_detailed_validation=True,
        **overrides,  # type: ignore[arg-type]  # a class has no attributes of these names
    )

    short = shapes.short_field(cls)
    names = {field.name for field in attrs.fields(cls)}

    def hook(data: Any, _: Any) -> Any:
        if short is not None and shapes.is_plain(data, short.type):
            data = {shapes.key_of(cls, short.name): data}
        if isinstance(data, str) and data in (*TYPES, *ELSEWHERE) and "type" in names:
            hint = f"write `{{type: {ELSEWHERE.get(data, data)}}}`"
            raise Mismatch(f"expected object, got {describe(data)}", hint=hint)
        return build(_mapping(data), cls)

    return hook


def _field_hook(field: attrs.Attribute[Any]) -> Hook:
    """Structure one field and let its converter and validator speak here, where its name is known."""
    written = shapes.written_type(field)
    convert = field.converter if inspect.isfunction(field.converter) else None
    read = _converter.get_structure_hook(written)

    def hook(data: Any, _: Any) -> Any:
        if data is None and field.type is Any and not about(field.metadata).null:
            raise Mismatch("expected a value, got nothing", hint="leave the key out")
        value = read(data, written)
        converted = convert(value) if convert else value
        if field.validator is not None:
            # One that looks at the instance will speak once there is one.
            with contextlib.suppress(AttributeError):
                field.validator(None, field, converted)
        return value

    return hook


def _mapping(data: Any) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise Mismatch(f"expected object, got {describe(data)}")
    keyed: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise Mismatch(f"a key is text, got {describe(key)}", code="key_invalid")
        if str(key) in keyed:
            raise Mismatch(f"the key `{key}` is there twice, as a number and as text", code="duplicate_key")
        keyed[str(key)] = value
    return keyed


def _mapping_hook(type_: Any) -> Hook:
    inner = shapes.item_type(type_)
    return lambda data, _: dict(_each(_mapping(data).items(), inner))


def _sequence_hook(type_: Any) -> Hook:
    inner = shapes.item_type(type_)
    make = tuple if (typing.get_origin(type_) or type_) is tuple else list

    def hook(data: Any, _: Any) -> Any:
        if not isinstance(data, list | tuple):
            raise Mismatch(f"expected list, got {describe(data)}")
        return make(value for _, value in _each(enumerate(data), inner))

    return hook


def _each(pairs: Iterable[tuple[Any, Any]], inner: Any) -> list[tuple[Any, Any]]:
    """Structure every value; the errors of all of them come together, each with its key or index."""
    done, errors = [], []
    structure_one = _converter.get_structure_hook(inner)
    for key, value in pairs:
        try:
            done.append((key, structure_one(value, inner)))
        except Exception as error:
            error.add_note(IterableValidationNote(f"at {key!r}", key, inner))
            errors.append(error)
    if errors:
        raise IterableValidationError("several problems", errors, object)
    return done


def _scalar(data: Any, type_: type) -> Any:
    if type_ is FilePath:
        return FilePath(_scalar(data, str))
    if type_ is float and isinstance(data, int) and not isinstance(data, bool):
        try:
            return float(data)
        except OverflowError:
            raise Mismatch("the number is too large") from None
    if not isinstance(data, type_) or (isinstance(data, bool) and type_ is not bool):
        word = shapes.WORDS[type_]
        raise Mismatch(f"expected {word}, got {describe(data)}", hint=_hint(data, type_))
    if isinstance(data, float) and not (-float("inf") < data < float("inf")):
        raise Mismatch("NaN, infinity and what is too large for a number are not values")
    return data


def _hint(data: Any, type_: type) -> str:
    if type_ is str and (data is None or isinstance(data, bool | int | float)):
        return "write it in quotes"
    if type_ is bool and isinstance(data, str):
        return "write `true` or `false`"
    if type_ in (int, float) and isinstance(data, str):
        from penstock.codec.parsing import resolve

        try:
            unquoted = resolve(data)
        except ValueError:
            return ""
        return "write it without quotes" if type(unquoted) is type_ else ""
    return ""


def _literal_hook(type_: Any) -> Hook:
    members = type_.__args__

    def hook(data: Any, _: Any) -> Any:
        for member in members:
            if type(member) is type(data) and member == data:
                return data
        shown = ", ".join(f"`{member}`" for member in members)
        hint = did_you_mean(data, [str(member) for member in members]) if isinstance(data, str) else ""
        if isinstance(data, str) and ELSEWHERE.get(data.lower()) in members:
            hint = f"write `{ELSEWHERE[data.lower()]}`"
        raise Mismatch(f"expected one of {shown}, got {describe(data)}", hint="" if hint.startswith("known") else hint)

    return hook


def _union_hook(type_: Any) -> Hook:
    members = shapes.members_of(type_)
    others = [member for member in members if member is not type(None)]

    def hook(data: Any, _: Any) -> Any:
        if data is None and len(others) < len(members):
            return None
        if len(others) == 1:
            return _converter.structure(data, others[0])
        fitting = [member for member in others if shapes.fits(data, member)]
        if not fitting:
            words = " or ".join(dict.fromkeys(shapes.word_of(member) for member in others))
            raise Mismatch(f"expected {words}, got {describe(data)}")
        return _converter.structure(data, fitting[0])

    return hook


def _make_converter() -> Converter:
    converter = Converter(detailed_validation=True)
    for type_ in (str, int, float, bool, FilePath):
        converter.register_structure_hook(type_, _scalar)
    factories: list[tuple[Callable[[Any], bool], Callable[[Any], Hook]]] = [
        (shapes.is_union, _union_hook),
        (shapes.is_literal, _literal_hook),
        (shapes.is_sequence, _sequence_hook),
        (shapes.is_mapping, _mapping_hook),
        (attrs.has, _attrs_hook),
    ]
    for predicate, factory in factories:
        converter.register_structure_hook_factory(predicate, factory)
    return converter


_converter = _make_converter()
