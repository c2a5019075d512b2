"""Every error code in one table: who raises it, the exit and HTTP status it ends in, what it means and what to do."""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """A class of errors: the code it has when none is given, and what its codes end in unless they say otherwise."""

    code: str
    exit_code: int
    http_status: int


class Code(NamedTuple):
    """One code: the classes that carry it, the most usual first, and what it means and asks for.

    `http_status` and `exit_code` are set where they differ from those of the class; `retry_after` is in seconds and
    0 where trying again as it is changes nothing.
    """

    code: str
    classes: tuple[str, ...]
    meaning: str
    http_status: int | None = None
    exit_code: int | None = None
    retry_after: float = 0.0


class Ending(NamedTuple):
    """What an error ends in: the exit status of a command, the HTTP status of an answer, and when to try again."""

    exit_code: int
    http_status: int
    retry_after: float


# `RunFailed` answers somebody who asked for success; whoever asks for the run itself gets it, with 200.
KINDS = {
    "PenstockError": Kind("internal", 70, 500),
    "RunFailed": Kind("run_failed", 1, 409),
    "UsageError": Kind("usage_error", 2, 400),
    "SpecInvalid": Kind("spec_invalid", 3, 422),
    "ConfigInvalid": Kind("config_invalid", 4, 500),
    "ParameterInvalid": Kind("parameter_invalid", 5, 422),
    "NotFound": Kind("not_found", 6, 404),
    "GateClosed": Kind("endpoint_disabled", 7, 409),
    "Conflict": Kind("conflict", 8, 409),
    "TargetUnsupported": Kind("target_unsupported", 9, 422),
    "TargetUnavailable": Kind("target_unavailable", 10, 503),
    "TargetRefused": Kind("dispatch_failed", 11, 502),
    "RegistryError": Kind("registry_error", 12, 500),
    "WaitTimeout": Kind("wait_timeout", 13, 504),
    "BackendBroken": Kind("backend_broken", 14, 500),
    "PolicyRefused": Kind("policy_refused", 15, 403),
}

_INTERNAL = ("PenstockError",)
_RUN = ("RunFailed",)
_USAGE = ("UsageError",)
_SPEC = ("SpecInvalid",)
_CONFIG = ("ConfigInvalid",)
_DOCUMENT = ("SpecInvalid", "ConfigInvalid")
_PARAMETER = ("ParameterInvalid", "SpecInvalid")
_LOCATION = ("ParameterInvalid",)
_MISSING = ("NotFound",)
_GATE = ("GateClosed",)
_CONFLICT = ("Conflict",)
_UNSUPPORTED = ("TargetUnsupported",)
_AWAY = ("TargetUnavailable",)
_REFUSED = ("TargetRefused",)
_REGISTRY = ("RegistryError",)
_BROKEN = ("BackendBroken",)

_ALL = (
    # Of penstock itself.
    Code("internal", _INTERNAL, "A bug of ours; report it with the file that the message names."),
    Code("interrupted", _INTERNAL, "Somebody ended the command; a run that was waited for goes on.", 503, 130),
    Code("system_error", _INTERNAL, "The operating system refused something; the message says what."),
    # Of a run: what an awaited one is told by, and why runs and steps end `failed`.
    Code("run_failed", _RUN, "An awaited run did not succeed; `run show` and `run logs` say why."),
    Code("run_lost", _RUN, "The target does not know the run any more; submit it again."),
    Code("run_damaged", _RUN, "What the target keeps of the run cannot be read any more; submit it again."),
    Code("step_failed", _RUN, "The step's program ended with an exit status or by a signal; see its log."),
    Code("step_timeout", _RUN, "The step took longer than its `timeout`."),
    Code("step_interrupted", _RUN, "The engine died too often while the step ran; submit the run again."),
    Code("step_not_started", _RUN, "The step's program could not be started; see that it is there and executable."),
    Code("output_missing", _RUN, "The step ended well and did not write an output that it declares."),
    Code("report_invalid", _RUN, "The backend's report does not fit the pipeline; that part of it was left out."),
    Code("output_invalid", _RUN, "The step wrote an output that is not of the type it declares."),
    # Of the call itself.
    Code("usage_error", _USAGE, "The call is wrong; the message says what it takes."),
    Code("name_invalid", ("UsageError", "SpecInvalid", "ConfigInvalid"), "A name that cannot be one; choose another."),
    Code("idempotency_key_invalid", _USAGE, "An idempotency key is empty or too long."),
    Code("time_invalid", _USAGE, "A time that cannot be read; write `2026-11-20T14:00:00Z`."),
    Code("kind_unknown", ("UsageError", "SpecInvalid"), "There is no such kind of document; use one that is listed."),
    Code("file_unwritable", ("UsageError", "ConfigInvalid"), "A file or folder cannot be written; choose another."),
    Code("file_not_allowed", _USAGE, "A caller from another machine names no file of this one; name a URI.", 403),
    # Of a document: a spec, a configuration, a file of parameters.
    Code("spec_invalid", _SPEC, "Several things are wrong with the document; each has its own code."),
    Code("document_empty", _SPEC, "The document says nothing."),
    Code("document_not_utf8", _DOCUMENT, "The document is not UTF-8 text; save it as such."),
    Code("document_too_deep", _DOCUMENT, "The document is nested too deep."),
    Code("document_too_large", _DOCUMENT, "The document is too large; data belongs in files beside it.", 413),
    Code("yaml_syntax", _DOCUMENT, "The document is not YAML; the message says where it stops making sense."),
    Code("yaml_alias", _DOCUMENT, "YAML's aliases are not read; write the value out."),
    Code("yaml_tag", _DOCUMENT, "YAML's tags are not read; leave the tag out."),
    Code("api_version_unknown", _SPEC, "This penstock does not read documents of that `apiVersion`."),
    Code("unknown_key", _DOCUMENT, "A key that nothing reads; the nearest known one is named."),
    Code("missing_key", _DOCUMENT, "A key that must be there is not."),
    Code("duplicate_key", _DOCUMENT, "A key is there twice; keep one."),
    Code("key_invalid", _DOCUMENT, "A key that cannot be one; use letters, digits, `_` and `-`."),
    Code("type_mismatch", _DOCUMENT, "A value of another type than its key takes."),
    Code("value_invalid", _DOCUMENT, "A value that its key does not take."),
    Code("text_invalid", _DOCUMENT, "A text holds characters that it cannot; the message names them."),
    # Of a pipeline.
    Code("steps_missing", _SPEC, "A pipeline has at least one step."),
    Code("cycle", _SPEC, "Steps wait for each other; cut one of the dependencies that the message lists."),
    Code("command_empty", _SPEC, "A step's command has no words."),
    Code("command_invalid", _SPEC, "A command cannot be split into words; close its quotes."),
    Code("shell_operator", _SPEC, "No shell sees a command; write `[bash, -c, ...]` where one is meant."),
    Code("placeholder_invalid", _SPEC, "A placeholder cannot be read; write `${{ parameters.name }}`."),
    Code("reference_expected", _SPEC, "An input or output takes exactly one reference."),
    Code("reference_scope", _SPEC, "A reference to something that cannot be read from where it stands."),
    Code("reference_unknown", _SPEC, "A reference to something that the pipeline does not declare."),
    Code("artifact_in_command", _SPEC, "A file or directory reaches a command through the step's `inputs` only."),
    Code("env_name_invalid", _SPEC, "The name of an environment variable holds `=` or NUL, or is empty."),
    Code("limit_invalid", _SPEC, "A limit of a parameter that no value can keep."),
    Code("limit_not_applicable", _SPEC, "A limit that does not go with the parameter's type."),
    Code("pattern_invalid", _SPEC, "A `pattern` is not a regular expression that can be used."),
    Code("parameter_unused", _SPEC, "A warning: nothing reads the parameter."),
    Code("input_unmentioned", _SPEC, "A warning: no argument or variable of the step mentions the input."),
    Code("output_unmentioned", _SPEC, "A warning: no argument or variable of the step mentions the output."),
    # Of files that are named, and of what is bundled with a pipeline.
    Code("file_not_found", ("SpecInvalid", "ParameterInvalid", "ConfigInvalid"), "There is no such file or folder."),
    Code(
        "file_unreadable", ("SpecInvalid", "ConfigInvalid", "ParameterInvalid"), "A file cannot be read by this user."
    ),
    Code("not_a_file", ("SpecInvalid", "ParameterInvalid"), "A file is expected, and something else is there."),
    Code("not_a_folder", ("SpecInvalid", "ParameterInvalid"), "A folder is expected, and something else is there."),
    Code("file_changed", _SPEC, "A file changed while it was read; try again."),
    Code("file_special", _SPEC, "Sockets, pipes and devices cannot be bundled; leave them out by `.gitignore`."),
    Code("link_broken", _SPEC, "A link leads to nothing."),
    Code("link_loop", _SPEC, "A link leads back to itself or to a folder that it is in."),
    Code("link_outside_folder", _SPEC, "A link leads out of the folder that is bundled."),
    Code("name_clash", _SPEC, "Two names are one as soon as Unicode is normalised; rename one."),
    Code("name_not_utf8", _SPEC, "The name of a file is not UTF-8 text; rename it."),
    Code("path_outside_folder", _SPEC, "A relative path leads out of the spec's folder."),
    # Of a configuration.
    Code("config_invalid", _CONFIG, "The configuration cannot be used; the message says where and why."),
    Code("target_missing", _CONFIG, "Several targets and no default: set `target`, or name one in the call."),
    Code("target_unknown", _CONFIG, "The configuration has no such target; the known ones are named."),
    Code("backend_unknown", _CONFIG, "No installed package has that backend."),
    Code("plugin_unknown", _CONFIG, "No installed package has that plugin."),
    Code("command_unknown", _CONFIG, "No installed package has that command."),
    Code("backend_ambiguous", _CONFIG, "Two installed packages have that backend; uninstall one."),
    Code("plugin_ambiguous", _CONFIG, "Two installed packages have that plugin; uninstall one."),
    Code("command_ambiguous", _CONFIG, "Two installed packages have that command; uninstall one."),
    Code("backend_unavailable", _CONFIG, "The backend needs a package that is not installed; the message names it."),
    Code("plugin_unavailable", _CONFIG, "The plugin needs a package that is not installed; the message names it."),
    Code("command_unavailable", _CONFIG, "The command needs a package that is not installed; the message names it."),
    Code("extra_missing", _CONFIG, "This command needs an extra of penstock; the message says how to install it."),
    # Of the parameters of a trigger.
    Code("parameter_invalid", _LOCATION, "Several parameters are wrong; each has its own code."),
    Code("parameter_unknown", _LOCATION, "The pipeline has no such parameter."),
    Code("parameter_missing", _LOCATION, "A parameter without a default was not given."),
    Code("parameter_type", _PARAMETER, "A value of another type than the parameter's."),
    Code("parameter_range", _PARAMETER, "A value beyond the parameter's limits."),
    Code("parameter_enum", _PARAMETER, "A value that is none of those the parameter lists."),
    Code("parameter_pattern", _PARAMETER, "A text that does not match the parameter's pattern."),
    Code("parameter_not_finite", _PARAMETER, "NaN and infinities are not values."),
    Code("parameter_text", _PARAMETER, "A text that no argument can carry: NUL or half a character."),
    Code("parameter_too_large", _PARAMETER, "A value that is too long or nested too deep; pass it as a file."),
    Code("location_refused", _LOCATION, "The caller may not name that path; use one below the target's `data_roots`."),
    Code("location_unsupported", ("ParameterInvalid", "TargetUnsupported"), "The target does not read such URIs."),
    # Of what is named and not there.
    Code("not_found", _MISSING, "What was named does not exist; the message lists what does."),
    Code("endpoint_not_found", _MISSING, "There is no such endpoint."),
    Code("version_not_found", _MISSING, "The endpoint has no such version, or no default."),
    Code("pipeline_not_found", _MISSING, "There is no such published pipeline."),
    Code("snapshot_not_found", _MISSING, "The registry has no such snapshot; publish the pipeline again."),
    Code("run_not_found", _MISSING, "There is no such run."),
    Code("step_not_found", _MISSING, "The run has no such step."),
    # Of gates.
    Code("endpoint_disabled", _GATE, "The endpoint is closed: since when, by whom and why is in the message."),
    Code("version_disabled", _GATE, "The version is closed; nothing else is tried in its place."),
    Code("pipeline_disabled", _GATE, "The published pipeline is closed, behind every endpoint."),
    # Of what contradicts what is there.
    Code("conflict", _CONFLICT, "What is asked contradicts what is there."),
    Code("ambiguous", _CONFLICT, "The reference names several things; the message lists them."),
    Code("default_changed", _CONFLICT, "Somebody else moved the default; look again and decide anew."),
    Code("file_exists", ("Conflict", "UsageError"), "A file is in the way and is never overwritten."),
    Code("idempotency_conflict", _CONFLICT, "The idempotency key was used for another request; use a new key."),
    Code("in_use", _CONFLICT, "A default, a version or an unfinished run still points to it."),
    Code("label_frozen", _CONFLICT, "The label names other content; labels never change, choose another."),
    Code("label_reserved", _CONFLICT, "The label named something that was deleted; labels are never reused."),
    Code("name_taken", _CONFLICT, "Another endpoint has that name."),
    Code("nothing_to_roll_back", _CONFLICT, "The default was never moved, or all moves were taken back."),
    Code("revision_changed", _CONFLICT, "Somebody else changed it since it was looked at; look again.", 412),
    Code("run_not_finished", _CONFLICT, "The run has not ended; wait for it or cancel it."),
    Code("target_changed", _CONFLICT, "The target's name now means another place than when this was frozen."),
    # Of a target.
    Code("target_unsupported", _UNSUPPORTED, "The target cannot do this; its backend has no such hook."),
    Code("platform_unsupported", _UNSUPPORTED, "The backend does not run on this operating system."),
    Code("image_ignored", ("TargetUnsupported",), "The target notes the image and does not use it."),
    Code("gpu_ignored", ("TargetUnsupported",), "The target notes GPUs and does not give them out."),
    Code("resources_clipped", ("TargetUnsupported",), "More is asked than the target has; it gives what it has."),
    Code("target_unavailable", _AWAY, "The target did not answer; the same call may succeed later.", retry_after=1.0),
    Code("publishing_elsewhere", _AWAY, "Somebody publishes; what is to be retired waits.", retry_after=1.0),
    Code("queue_corrupt", _AWAY, "The local target's queue cannot be read; move it away and submit again."),
    Code("queue_newer", _AWAY, "The local target's queue was written by a newer penstock; use that one."),
    Code("dispatch_failed", _REFUSED, "The target refused the run, for good."),
    Code("publication_damaged", _REFUSED, "What was published cannot be read at the target; publish it again."),
    # Of the registry.
    Code("registry_error", _REGISTRY, "The registry cannot be used; the message says why."),
    Code("registry_busy", _REGISTRY, "Somebody else writes the registry; try again.", 503, retry_after=1.0),
    Code("registry_copied", _REGISTRY, "This registry is a copy; it is for looking, and hands nothing over."),
    Code("registry_corrupt", _REGISTRY, "The registry file is damaged; put a backup in its place."),
    Code("registry_disk_full", _REGISTRY, "The disk is full; free some space.", 507),
    Code("registry_missing", _REGISTRY, "There is no registry there, and a verb that only reads makes none."),
    Code("registry_network_fs", _REGISTRY, "The registry lies on a network file system; put it on a local disk."),
    Code("registry_newer", _REGISTRY, "The registry was written by a newer penstock; use that one."),
    Code("registry_read_only", _REGISTRY, "The registry, or a file beside it, cannot be written by this user."),
    Code("archive_corrupt", _REGISTRY, "An archive beside the registry is damaged; put a backup in its place."),
    Code("archive_missing", _REGISTRY, "An archive beside the registry is gone; put a backup in its place."),
    Code("archive_unpack", _REGISTRY, "An archive could not be unpacked where it is needed; see the disk there."),
    # Of waiting, of what is plugged in, of policy.
    Code("wait_timeout", ("WaitTimeout",), "The run did not end in the time that was given; it goes on."),
    Code("backend_broken", _BROKEN, "A backend breaks the contract; the message names the hook."),
    Code("plugin_broken", _BROKEN, "A plugin breaks the contract; the message names the hook."),
    Code("command_broken", _BROKEN, "A command of a plugin cannot be loaded or is none."),
    Code("policy_refused", ("PolicyRefused",), "A plugin refused the call before anything happened."),
)

CODES = {each.code: each for each in _ALL}


def ending(error: str, code: str) -> Ending:
    """What an error of that class name with that code ends in; a code of somebody else's ends as its class does."""
    kind = KINDS[error]
    own = CODES.get(code) or CODES[kind.code]
    return Ending(
        kind.exit_code if own.exit_code is None else own.exit_code,
        kind.http_status if own.http_status is None else own.http_status,
        own.retry_after,
    )


def markdown() -> str:
    """The table as `docs/errors.md` shows it."""
    lines = [_HEAD]
    for each in _ALL:
        endings = [ending(name, each.code) for name in each.classes]
        cells = [
            f"`{each.code}`",
            ", ".join(f"`{name}`" for name in each.classes),
            ", ".join(str(one.exit_code) for one in endings),
            ", ".join(str(one.http_status) for one in endings),
            each.meaning,
        ]
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)


_HEAD = """\
# Error codes

Every error has a code, and codes never change their meaning. A command ends in the exit status, an HTTP answer in
the HTTP status; where several classes carry a code, they stand in the same order. Codes of `RunFailed` other than
`run_failed` say why a run or a step ended `failed`: a run itself is answered with HTTP 200. `image_ignored`,
`gpu_ignored` and `resources_clipped` are warnings unless the target is `strict`.

This page is written by `python -c "from penstock.codes import markdown; print(markdown(), end='')" > docs/errors.md`.

| code | class | exit | HTTP | what it means, what to do |
|---|---|---|---|---|
"""
