# Runs in a step's container, in the folder of its code asset: `launch.sh ATTEMPTS DELAY`, and on standard input what
# the step is told (see command.py). Gives values and paths to the launcher, again and again until an attempt
# succeeds, and says in the step's report how the last one went.

set -f
attempts=$1 delay=$2 child= stopped= code=70
here=`pwd`
given_penstock_values= given_penstock_report=

# report NUMBER: writes an attempt's number, and after it what standard input says of it, where the step's report belongs.
report() {
  # Nothing was given yet where it broke early; Azure has a variable for an output, too.
  place=${given_penstock_report:-$AZURE_ML_OUTPUT_penstock_report}
  [ -z "$place" ] || { printf '%s\n' "$1" && cat; } >"$place"
}

broken() {
  printf 'penstock: %s\n' "$1" >&2
  printf 'step_not_started\n\n%s\n' "$1" | report 1
  exit 70
}
folder=`mktemp -d` || broken 'cannot make a working folder'

stop() {
  stopped=1
  [ -z "$child" ] || kill -TERM "$child" 2>/dev/null
}
trap stop TERM
trap 'rm -rf "$folder"' EXIT

# named NAME: sees that it is a name, before a shell evaluates it.
named() {
  case $1 in '' | *[!A-Za-z0-9_]*) broken 'what the step is told is damaged' ;; esac
}

# looked_up VALUE: the line that a reference stands for, in value.
looked_up() {
  for file in "$given_penstock_values" "$here/values"; do
    [ -f "$file" ] || continue
    while IFS= read -r key && IFS= read -r value; do
      [ "$key" != "$1" ] || return 0
    done <"$file"
  done
  broken "there is no text for $1"
}

IFS= read -r mark
IFS= read -r name
while [ "$name" != words ]; do
  named "$name"
  value= next=
  while IFS= read -r line; do
    [ "$line" != "$mark" ] || break
    value=$value$next$line
    next='
'
  done
  # Azure may leave the name of a variable where it has one.
  case $value in
  '$AZURE'*"_$name")
    variable=${value#?}
    case $variable in
    *[!A-Za-z0-9_]*) ;;
    *) eval "value=\${$variable-\$value}" ;;
    esac
    ;;
  esac
  eval "given_$name=\$value"
  IFS= read -r name || broken 'what the step is told has no end'
done

set --
while IFS= read -r line; do
  case $line in
  @*)
    rest=${line#* } line=${line%% *}
    name=${rest%% *}
    case $line in
    @here) value=$here/$rest ;;
    @reports) value=$folder ;;
    *)
      named "$name"
      eval "value=\$given_$name"
      ;;
    esac
    case $line in
    @value) case $value in penstock-file:*) looked_up "$value" ;; esac ;;
    @read) value=penstock-file:$value ;;
    @maybe) [ -n "$value" ] || value=penstock-none: ;;
    @data) [ -n "$value" ] || value=penstock-tar:file://$here/${rest#* } ;;
    esac
    set -- "$@" "$value"
    ;;
  *) set -- "$@" "$line" ;;
  esac
done

# waited: waits for the child whatever interrupts it; how it ended is in code.
waited() {
  wait "$child"
  code=$?
  while kill -0 "$child" 2>/dev/null; do
    wait "$child"
    code=$?
  done
  child=
}

number=1
while [ -z "$stopped" ]; do
  sh "$here/attempt.sh" "$@" </dev/null &
  child=$!
  [ -z "$stopped" ] || stop
  waited
  [ "$code" -ne 0 ] && [ -z "$stopped" ] && [ "$number" -lt "$attempts" ] || break
  sleep "$delay" &
  child=$!
  waited
  why=
  { read -r line && read -r line && IFS= read -r why; } 2>/dev/null <"$folder/attempts/step/$number" || :
  number=`expr "$number" + 1`
  [ -n "$stopped" ] || printf -- '--- attempt %s of %s after: %s ---\n' "$number" "$attempts" "$why"
done
said=$folder/attempts/step/$number
[ -f "$said" ] || said=/dev/null
report "$number" <"$said"
exit "$code"
