"""Every error code in one table: who raises it, the exit and HTTP status it ends in, what it means and what to do."""

from __future__ import annotations

from typing import NamedTuple

# A code, the classes that carry it, the most usual first, and what it means and asks for. The first code of a class is
# that of its errors which are given none, and its statuses are those of all its codes that name no others. `retry` is
# in seconds.
# `RunFailed` answers somebody who asked for success; whoever asks for the run itself gets it, with 200.
_TABLE = """\
# Of penstock itself.
internal PenstockError exit=70 http=500: A bug of ours; report it with the file that the message names.
interrupted PenstockError exit=130 http=503: Somebody ended the command; a run that was waited for goes on.
system_error PenstockError: The operating system refused something; the message says what.
artifact_too_large PenstockError http=507: The server's disk has no room for the artifact; fetch it where it lies.
# Of a run: what an awaited one is told by, and why runs and steps end `failed`.
run_failed RunFailed exit=1 http=409: An awaited run did not succeed; `run show` and `run logs` say why.
run_lost RunFailed: The target does not know the run any more; submit it again.
run_damaged RunFailed: What the target keeps of the run cannot be read any more; submit it again.
step_failed RunFailed: The step's program ended with an exit status or by a signal; see its log.
step_out_of_memory RunFailed: The step used more memory than its `resources` ask for; ask for more.
step_timeout RunFailed: The step took longer than its `timeout`.
step_interrupted RunFailed: Engine and keeper died too often while the step ran; submit the run again.
step_not_started RunFailed: The step's program could not be started; see that it is there and executable.
output_missing RunFailed: The step ended well and did not write an output that it declares.
report_invalid RunFailed: The backend's report does not fit the pipeline; that part of it was left out.
output_invalid RunFailed: The step wrote an output that is not of the type it declares.
# Of the call itself.
usage_error UsageError exit=2 http=400: The call is wrong; the message says what it takes.
name_invalid UsageError,SpecInvalid,ConfigInvalid: A name that cannot be one; choose another.
text_too_large UsageError,SpecInvalid: A description, reason or tag is too long; keep it elsewhere and name that.
idempotency_key_invalid UsageError: An idempotency key is empty or too long.
time_invalid UsageError: A time that cannot be read; write `2026-11-20T14:00:00Z`.
kind_unknown UsageError,SpecInvalid: There is no such kind of document; use one that is listed.
file_unwritable UsageError,ConfigInvalid: A file or folder cannot be written; choose another.
publish_elsewhere UsageError: This door cannot publish that; the message says how it is published.
http_invalid UsageError: What came in is not HTTP as the standard has it.
url_too_long UsageError http=414: The URL of a request is longer than the server takes.
headers_too_large UsageError http=431: The headers of a request are larger than the server takes.
head_timeout UsageError http=408: The head of a request did not come in time.
body_timeout UsageError http=408: The body of a request did not come in time.
address_unusable UsageError: The server cannot listen on that address; choose another host or port.
json_invalid UsageError: The body of a request is not JSON; the message says where it stops being so.
method_not_allowed UsageError http=405: The path does not take that method; the message names those it takes.
range_not_there UsageError http=416: Nothing of the range of bytes that was asked for is there.
output_is_value UsageError: The output is a value, which the run itself shows; only artifacts are downloaded.
file_not_allowed UsageError http=403: A caller from another machine names no file of this one; name a URI.
# Of a document: a spec, a configuration, a file of parameters.
spec_invalid SpecInvalid exit=3 http=422: Several things are wrong with the document; each has its own code.
document_empty SpecInvalid: The document says nothing.
document_not_utf8 SpecInvalid,ConfigInvalid: The document is not UTF-8 text; save it as such.
document_too_deep SpecInvalid,ConfigInvalid: The document is nested too deep.
document_too_large SpecInvalid,ConfigInvalid,UsageError http=413: Too large a document; data belongs in files beside it.
yaml_syntax SpecInvalid,ConfigInvalid: The document is not YAML; the message says where it stops making sense.
yaml_alias SpecInvalid,ConfigInvalid: YAML's aliases are not read; write the value out.
yaml_tag SpecInvalid,ConfigInvalid: YAML's tags are not read; leave the tag out.
api_version_unknown SpecInvalid: This penstock does not read documents of that `apiVersion`.
unknown_key SpecInvalid,ConfigInvalid,UsageError: A key that nothing reads; the nearest known one is named.
missing_key SpecInvalid,ConfigInvalid,UsageError: A key that must be there is not.
duplicate_key SpecInvalid,ConfigInvalid,UsageError: A key is there twice; keep one.
key_invalid SpecInvalid,ConfigInvalid: A key that cannot be one; use letters, digits, `_` and `-`.
type_mismatch SpecInvalid,ConfigInvalid,UsageError: A value of another type than its key takes.
value_invalid SpecInvalid,ConfigInvalid,UsageError: A value that its key does not take.
text_invalid SpecInvalid,ConfigInvalid: A text holds characters that it cannot; the message names them.
# Of a pipeline.
steps_missing SpecInvalid: A pipeline has at least one step.
cycle SpecInvalid: Steps wait for each other; cut one of the dependencies that the message lists.
command_empty SpecInvalid: A step's command has no words.
command_invalid SpecInvalid: A command cannot be split into words; close its quotes.
shell_operator SpecInvalid: No shell sees a command; write `[bash, -c, ...]` where one is meant.
placeholder_invalid SpecInvalid: A placeholder cannot be read; write `${{ parameters.name }}`.
reference_expected SpecInvalid: An input or output takes exactly one reference.
reference_scope SpecInvalid: A reference to something that cannot be read from where it stands.
reference_unknown SpecInvalid: A reference to something that the pipeline does not declare.
artifact_in_command SpecInvalid: A file or directory reaches a command through the step's `inputs` only.
code_large SpecInvalid: More than 100 MB of code would travel; leave out what is none, or say that it is meant.
argument_too_large SpecInvalid: An argument or variable is longer than a program can be given; put it into a file.
env_name_invalid SpecInvalid: The name of an environment variable holds `=` or NUL, or is empty.
limit_invalid SpecInvalid: A limit of a parameter that no value can keep.
limit_not_applicable SpecInvalid: A limit that does not go with the parameter's type.
pattern_invalid SpecInvalid: A `pattern` is not a regular expression that can be used.
sensitive_invalid SpecInvalid: A sensitive parameter has no default and no `enum`, and is a value.
parameter_unused SpecInvalid: A warning: nothing reads the parameter.
input_unmentioned SpecInvalid: A warning: no argument or variable of the step mentions the input.
output_unmentioned SpecInvalid: A warning: no argument or variable of the step mentions the output.
# Of files that are named, and of what is bundled with a pipeline.
file_not_found SpecInvalid,ParameterInvalid,ConfigInvalid: There is no such file or folder.
file_unreadable SpecInvalid,ConfigInvalid,ParameterInvalid: A file cannot be read by this user.
not_a_file SpecInvalid,ParameterInvalid: A file is expected, and something else is there.
not_a_folder SpecInvalid,ParameterInvalid: A folder is expected, and something else is there.
file_changed SpecInvalid: A file changed while it was read; try again.
file_special SpecInvalid: Sockets, pipes and devices cannot be bundled; leave them out by `.gitignore`.
ignore_rules_large SpecInvalid: More or longer ignore rules than can be matched; write fewer with wildcards.
link_broken SpecInvalid: A link leads to nothing.
link_loop SpecInvalid: A link leads back to itself or to a folder that it is in.
link_outside_folder SpecInvalid: A link leads out of the folder that is bundled.
name_clash SpecInvalid: Two names are one as soon as Unicode is normalised; rename one.
name_not_utf8 SpecInvalid: The name of a file is not UTF-8 text; rename it.
path_outside_folder SpecInvalid: A relative path leads out of the spec's folder.
# Of a configuration.
config_invalid ConfigInvalid exit=4 http=500: The configuration cannot be used; the message says where and why.
not_trusted ConfigInvalid: Somebody else could have written it; mend its owner or mode, or set `PENSTOCK_TRUST`.
not_owned ConfigInvalid: The root is another user's, who alone writes and starts an engine there; call as that user.
target_missing ConfigInvalid: Several targets and no default: set `target`, or name one in the call.
target_unknown ConfigInvalid http=404: The configuration has no such target; the known ones are named.
backend_unknown ConfigInvalid: No installed package has that backend.
plugin_unknown ConfigInvalid: No installed package has that plugin.
command_unknown ConfigInvalid: No installed package has that command.
emulator_unknown ConfigInvalid: No installed package has that emulator.
backend_ambiguous ConfigInvalid: Two installed packages have that backend; uninstall one.
plugin_ambiguous ConfigInvalid: Two installed packages have that plugin; uninstall one.
command_ambiguous ConfigInvalid: Two installed packages have that command; uninstall one.
emulator_ambiguous ConfigInvalid: Two installed packages have that emulator; uninstall one.
backend_unavailable ConfigInvalid: The backend needs a package that is not installed; the message names it.
plugin_unavailable ConfigInvalid: The plugin needs a package that is not installed; the message names it.
command_unavailable ConfigInvalid: The command needs a package that is not installed; the message names it.
emulator_unavailable ConfigInvalid: The emulator needs a package that is not installed; the message names it.
extra_missing ConfigInvalid: This command needs an extra of penstock; the message says how to install it.
# Of the parameters of a trigger.
parameter_invalid ParameterInvalid exit=5 http=422: Several parameters are wrong; each has its own code.
parameter_unknown ParameterInvalid: The pipeline has no such parameter.
parameter_missing ParameterInvalid: A parameter without a default was not given.
parameter_fixed ParameterInvalid: A rerun takes sensitive parameters only; the others are what they were.
sensitive_missing ParameterInvalid: The value of a sensitive parameter is not kept; a rerun gives it again.
parameter_type ParameterInvalid,SpecInvalid: A value of another type than the parameter's.
parameter_range ParameterInvalid,SpecInvalid: A value beyond the parameter's limits.
parameter_enum ParameterInvalid,SpecInvalid: A value that is none of those the parameter lists.
parameter_pattern ParameterInvalid,SpecInvalid: A text that does not match the parameter's pattern.
parameter_not_finite ParameterInvalid,SpecInvalid: NaN and infinities are not values.
parameter_text ParameterInvalid,SpecInvalid: A text that no argument can carry: NUL or half a character.
parameter_too_large ParameterInvalid,SpecInvalid: A value that is too long or nested too deep; pass it as a file.
location_refused ParameterInvalid: The caller may not name that path; use one below the target's `data_roots`.
location_unsupported ParameterInvalid,TargetUnsupported: The target does not read such URIs.
# Of what is named and not there.
not_found NotFound exit=6 http=404: What was named does not exist; the message lists what does.
endpoint_not_found NotFound: There is no such endpoint.
version_not_found NotFound: The endpoint has no such version, or no default.
pipeline_not_found NotFound: There is no such published pipeline.
snapshot_not_found NotFound: The registry has no such snapshot; publish the pipeline again.
run_not_found NotFound: There is no such run.
token_not_found NotFound: There is no such token.
route_not_found NotFound: Nothing is served at that path; `/openapi.json` lists what is.
step_not_found NotFound: The run has no such step.
output_not_found NotFound: The run has no such output.
run_cleared NotFound: What the run left was cleared away by `run clean`; the message says when, its record stays.
run_gone NotFound: The target has nothing of the run any more; somebody removed it there.
artifact_gone NotFound: What the output named is not there any more.
# Of gates.
endpoint_disabled GateClosed exit=7 http=409: The endpoint is closed: since when, by whom and why is in the message.
version_disabled GateClosed: The version is closed; nothing else is tried in its place.
pipeline_disabled GateClosed: The published pipeline is closed, behind every endpoint.
# Of what contradicts what is there.
conflict Conflict exit=8 http=409: What is asked contradicts what is there.
ambiguous Conflict: The reference names several things; the message lists them.
default_changed Conflict: Somebody else moved the default; look again and decide anew.
version_lost Conflict: A whole endpoint was written back that lacks a version; read it again.
file_exists Conflict,UsageError: A file is in the way and is never overwritten.
idempotency_conflict Conflict: The idempotency key was used for another request; use a new key.
in_use Conflict: A default, a version or an unfinished run still points to it.
label_frozen Conflict: The label names other content; labels never change, choose another.
label_reserved Conflict: The label named something that was deleted; labels are never reused.
name_taken Conflict: Another endpoint has that name.
nothing_to_roll_back Conflict: The default was never moved, or all moves were taken back.
revision_changed Conflict http=412: Somebody else changed it since it was looked at; look again.
root_copied Conflict: The root is a copy, whose unfinished runs are the original's; submit to use it as one of its own.
run_not_finished Conflict: The run has not ended; wait for it or cancel it.
target_changed Conflict: The target's name now means another place than when this was frozen.
# Of a target.
target_unsupported TargetUnsupported exit=9 http=422: The target cannot do this; its backend has no such hook.
artifact_elsewhere TargetUnsupported: The target downloads no artifacts; the message says where it lies.
platform_unsupported TargetUnsupported: The backend does not run on this operating system.
image_ignored TargetUnsupported: The target notes the image and does not use it.
cpu_ignored TargetUnsupported: The target notes how many cores a step asks for, and its machines decide.
gpu_ignored TargetUnsupported: The target notes GPUs and does not give them out.
memory_ignored TargetUnsupported: The target notes how much memory a step asks for, and neither keeps nor limits it.
memory_too_small TargetUnsupported: So little memory is asked for that nothing can begin with it.
sensitive_unsupported TargetUnsupported: The target would show a sensitive value to others; use one that keeps secrets.
sensitive_in_command TargetUnsupported: Others can see a step's arguments; pass the sensitive value through `env`.
python_unusable TargetUnsupported: What the target's option `python` names is no interpreter that can be started.
option_frozen TargetUnsupported: A warning: published before with another value of an option, which stays.
resources_clipped TargetUnsupported: More is asked than the target has; it gives what it has.
resources_refused TargetUnsupported: More is asked than any machine of the target has; ask for less.
accelerator_unknown TargetUnsupported: The target does not know what a gpu is to be; set its option for that.
image_refused TargetUnsupported: What is named as an image cannot be one.
name_refused TargetUnsupported: The target takes no such name; the message says what it takes.
size_refused TargetUnsupported,TargetRefused: The target takes so much in no one request; put it into a file.
retry_shortened TargetUnsupported: A warning: the target gives up sooner than the spec asks for.
target_unavailable TargetUnavailable exit=10 http=503 retry=1: The target did not answer; the call may succeed later.
credentials_missing TargetUnavailable retry=30: There are none for the target; the message says how to get them.
credentials_expired TargetUnavailable retry=30: The target does not take the credentials any more; sign in again.
permission_denied TargetUnavailable retry=30: The credentials may not do this at the target; the message says where.
quota_exhausted TargetUnavailable retry=60: A quota of the target is used up; what was accepted waits.
sync_unfinished TargetUnavailable retry=2: The target works at the state of an endpoint; it is looked at again.
lock_held TargetUnavailable retry=1: Somebody else is at work in the same place for too long; the message says who.
publishing_elsewhere TargetUnavailable retry=1: Somebody publishes; what is to be retired waits.
engine_stopped TargetUnavailable retry=1: A signal has stopped the local target's engine; `kill -CONT` lets it go on.
engine_paused TargetUnavailable retry=1: The local target's engine waits until its machine has what it lacks.
engine_not_started TargetUnavailable retry=10: The local target's engine does not come up; the message says why.
queue_corrupt TargetUnavailable: The local target's queue cannot be read; move it away and submit again.
queue_log_foreign TargetUnavailable: A copy of the local target's queue lies there with another's log; move that away.
queue_newer TargetUnavailable: The local target's queue or a journal there was written by a newer penstock; use that.
dispatch_failed TargetRefused exit=11 http=502: The target refused the run, for good.
target_not_there TargetRefused: The project, bucket or image that the target names does not exist.
sensitive_lost TargetRefused: The sensitive values of a run are gone; submit it again.
publication_damaged TargetRefused: What was published is not what it was; publish it again.
artifact_unsafe TargetRefused: An artifact holds a name that has no place below its own; look at it where it lies.
# Of the registry.
registry_error RegistryError exit=12 http=503: The registry cannot be used; the message says why.
registry_busy RegistryError http=503 retry=1: Somebody else writes the registry; try again.
registry_copied RegistryError: This registry is a copy; it is for looking, and takes and hands over nothing.
registry_corrupt RegistryError: The registry file is damaged; put a backup in its place.
registry_disk_full RegistryError http=503: The disk is full, or has no inodes left, or files may not grow (`ulimit -f`).
registry_in_use RegistryError http=503: Somebody has the registry open; end what uses it and try again.
registry_linked RegistryError http=503: The registry's file has a second name, as after `cp -al`; it is for looking.
registry_log_foreign RegistryError: A backup or other copy lies there with another file's log; use `registry restore`.
registry_missing RegistryError: There is no registry there, or not any more; put it back, or publish first.
registry_network_fs RegistryError: The registry lies on a network file system; put it on a local disk.
registry_newer RegistryError: The registry was written by a newer penstock; use that one.
registry_not_owned RegistryError http=500: The registry is another user's, who alone changes it; call as that user.
registry_older RegistryError: The registry is of a penstock too old to be read; move it away.
registry_read_only RegistryError http=503: The registry, or a file beside it, cannot be written by this user.
registry_undecided RegistryError http=503: Whether it was changed is not known; look, or repeat it with its key.
registry_replaced RegistryError http=503: The file was replaced or taken away while it was open; restart what has it.
archive_corrupt RegistryError http=500: An archive is not what was published; publish it again.
archive_missing RegistryError http=500: An archive beside the registry is gone; publish it again.
archive_unpack RegistryError http=500: An archive could not be unpacked where it is needed; see the disk there.
# Of waiting, of what is plugged in, of policy.
wait_timeout WaitTimeout exit=13 http=504: The run did not end in the time that was given; it goes on.
backend_broken BackendBroken exit=14 http=500: A backend breaks the contract; the message names the hook.
plugin_broken BackendBroken: A plugin breaks the contract; the message names the hook.
command_broken BackendBroken: A command of a plugin cannot be loaded or is none.
emulator_broken BackendBroken: An emulator cannot be loaded.
policy_refused PolicyRefused exit=15 http=403: A plugin refused the call before anything happened.
# Of who comes in by HTTP.
not_authenticated NotAuthenticated exit=16 http=401: The call carries no token that is valid; no more is said.
issuer_unavailable NotAuthenticated http=503 retry=5: The keys of a token's issuer cannot be had just now; try again.
origin_not_allowed PolicyRefused: A page of another origin calls; name it in `server.allow_origins`.
scope_missing PolicyRefused: The caller's scope does not hold this; ask for a token that does.
too_many_requests TooManyRequests exit=17 http=429 retry=1: The server does not take more just now.
unfinished_limit TooManyRequests retry=5: The endpoint has as many unfinished runs as it may; wait until one ended.
anonymous_limit TooManyRequests: Too many triggers without a token from one address; get one, or wait.
"""


class Code(NamedTuple):
    """One code of the table.

    `exit_code` of a command and `http_status` of an answer are 0 where they are those of the class; `retry_after` is in
    seconds, and 0 where trying again as it is changes nothing.
    """

    code: str
    classes: tuple[str, ...]
    meaning: str
    exit_code: int = 0
    http_status: int = 0
    retry_after: int = 0


def _read(row: str) -> Code:
    head, _, meaning = row.partition(": ")
    code, classes, *rest = head.split()
    numbers = {name: int(number) for name, number in (one.split("=") for one in rest)}
    return Code(code, tuple(classes.split(",")), meaning, *(numbers.get(one, 0) for one in ("exit", "http", "retry")))


_ALL = tuple(_read(row) for row in _TABLE.splitlines() if not row.startswith("#"))
CODES = {each.code: each for each in _ALL}
KINDS = {each.classes[0]: each for each in reversed(_ALL)}
"""By the name of a class of errors, its first code."""


def ending(error: str, code: str) -> tuple[int, int, int]:
    """The exit status, the HTTP status and when to try again, of an error of that class name with that code.

    A code of somebody else's ends as its class does.
    """
    kind = KINDS[error]
    own = CODES.get(code, kind)
    return own.exit_code or kind.exit_code, own.http_status or kind.http_status, own.retry_after
