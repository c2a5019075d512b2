# Runs in a step's container: makes the step's arguments of what came, runs it, and hands on what it wrote.
# What comes is said in __init__.py, which also fills in what stands between `@`. A cloud's expanders may read this text
# before a shell does, so it has no dollar sign before another one or before a parenthesis, and no doubled brace. Its
# variables begin with `_`, so that none is the image's.

set -f
_data=@root@ _plain=@plain@
_report= _base= _child= _stop= _again= _word= _missing= _values= _artifacts= _limit= _python= _path=$PATH
unset _program

# tell CODE EXIT MESSAGE: leaves the report of this attempt, where there is a place for it.
tell() {
  [ -n "$_report" ] && printf '%s\n%s\n%s\n' "$1" "$2" "$3" 2>/dev/null >"$_report"
}

# fail CODE EXIT MESSAGE STATUS: ends the attempt; the log has a line of it where no report could be left.
fail() {
  tell "$1" "$2" "$3" || printf 'penstock: %s\n' "$3" >&2
  exit "$4"
}

broken() {
  fail step_not_started "" "$1" 70
}

clean() {
  cd /
  [ -z "$_base" ] || rm -rf "$_base" 2>/dev/null || { chmod -R u+rwx "$_base"; rm -rf "$_base"; } 2>/dev/null
}

stop() {
  _stop=1 _again=1
  [ -z "$_child" ] || kill -TERM "$_child" 2>/dev/null
}

find_python() {
  [ -z "$_python" ] || return 0
  for _python in python3 python; do
    "$_python" -I -S -c 'import json' 2>/dev/null && return
  done
  _python=
  return 1
}

# decode VALUE: the text that was encoded or lies elsewhere, in _text; a last letter keeps the ends of lines that a shell
# would drop.
decode() {
  _text=$1
  case $_text in
  penstock-b64:*) ;;
  @reference@*)
    _file=$_data/${_text#@reference@}
    [ -r "$_file" ] || broken "cannot read $_file@advice@"
    _text=`cat "$_file" && echo x` || broken "cannot read $_file"
    _text=${_text%x}
    return
    ;;
  *) return ;;
  esac
  if command -v base64 >/dev/null; then
    _text=`printf %s "${_text#penstock-b64:}" | base64 -d && echo x` || broken 'a value cannot be decoded'
  elif find_python; then
    _text=`printf %s "${_text#penstock-b64:}" | "$_python" -I -S -c "$_unbase" && echo x` || broken 'a value cannot be decoded'
  else
    broken 'the image has neither base64 nor Python to decode a value with'
  fi
  _text=${_text%x}
}

# unpack ARCHIVE FOLDER
unpack() {
  [ -r "$1" ] || broken "cannot read $1@advice@"
  mkdir -p "$2"
  if command -v tar >/dev/null; then
    tar -xf - -C "$2" <"$1" 2>"$_base/said" && return
  elif find_python; then
    "$_python" -I -c "$_untar" "$1" "$2" 2>"$_base/said" && return
  else
    broken 'the image has neither tar nor Python to unpack with'
  fi
  _text=`tail -n 1 "$_base/said"`
  broken "cannot unpack $1: $_text"
}

# locate NUMBER: the local path of what _text names, in _text.
locate() {
  _said=$_text
  case $_text in
  penstock-tar:@scheme@://*)
    _file=${_text#penstock-tar:@scheme@://} _text=$_base/in/$1
    unpack "$_data/${_file%%#*}" "$_text"
    case $_file in *#*) _text=$_text/${_file#*#} ;; esac
    ;;
  @scheme@://*) _text=$_data/${_text#@scheme@://} ;;
  esac
  [ -e "$_text" ] || broken "there is nothing to read at $_said"
}

# begin FOLDER: a report of a new attempt, numbered from 1; none where content is not to be seen.
begin() {
  [ -d "$_data/${1%%/*}" ] && mkdir -p "$_data/$1" 2>/dev/null || return
  _number=1
  while [ -e "$_data/$1/$_number" ]; do _number=`expr "$_number" + 1`; done
  _report=$_data/$1/$_number
  tell running "" ""
}

# doze SECONDS: lets time pass, and ends this shell when the program is over: at TERM, or because $_base/on is gone where
# that came too early. A new shell hears no signal in its first moment, and passes none on to what has no number yet.
doze() {
  _sleep=
  sleep "$1" &
  _sleep=$!
  [ -z "$_over" ] && [ -e "$_base/on" ] || { kill -KILL "$_sleep"; exit; }
  wait "$_sleep"
}

# can_start: whether there is such a program, in the working folder or on the PATH of the step.
can_start() {
  case $_program in */*) [ -f "$_program" ] && [ -x "$_program" ]; return ;; esac
  _path=$_path:
  while [ -n "$_path" ]; do
    _file=${_path%%:*}/$_program _path=${_path#*:}
    [ -f "$_file" ] && [ -x "$_file" ] && return
  done
  return 1
}

_unbase='import base64, sys; sys.stdout.buffer.write(base64.b64decode(sys.stdin.read()))'
_untar='import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])'

trap stop TERM
trap clean EXIT
_base=`mktemp -d` && mkdir "$_base/work" "$_base/tmp" "$_base/out" "$_base/in" "$_base/on" ||
  broken 'cannot make a working folder'

_env=`command -v env` && _sh=`command -v sh` || broken 'the image has no env'

# Words are read from the front, and finished arguments put behind `end`.
set -- "$@" end
while [ "$1" != end ]; do
  case $1 in
  option-if)
    if [ -n "$_missing" ]; then
      _word= _missing=
      shift 2
      continue
    fi
    decode "$2"
    set -- "$@" "$_text" "$_word"
    _word=
    shift 2
    ;;
  arg-if | env-if)
    if [ -z "$_missing" ]; then
      case $1 in
      arg-if) shift && set -- arg "$@" ;;
      *) shift && set -- env "$@" ;;
      esac
      continue
    fi
    [ "$1" = arg-if ] || shift
    shift
    _word= _missing=
    ;;
  =* | arg)
    if [ "$1" = arg ]; then _text=$_word; else decode "${1#=}"; fi
    _missing=
    shift
    if [ -z "${_program+there}" ]; then
      _program=$_text
      # `env` would take such a program for a variable.
      case $_program in *=*) set -- "$@" "$_sh" -c 'exec "$@"' "$_sh" ;; esac
    fi
    set -- "$@" "$_text"
    _word=
    ;;
  text)
    if [ "$2" = penstock-none: ]; then
      _missing=1
    else
      decode "$2"
      _word=$_word$_text
    fi
    shift 2
    ;;
  input)
    eval "_text=\$_in$2"
    if [ "$_text" = penstock-none: ]; then _missing=1; else _word=$_word$_text; fi
    shift 2
    ;;
  output)
    _word=$_word$_base/out/$2
    shift 2
    ;;
  env)
    set -- "$@" "$2=$_word"
    [ "$2" != PATH ] || _path=$_word
    _word= _missing=
    shift 2
    ;;
  file)
    _text=$3
    if [ "$_text" != penstock-none: ]; then
      decode "$_text"
      locate "$2"
    fi
    eval "_in$2=\$_text"
    shift 3
    ;;
  path)
    eval "_in$2=\$3"
    shift 3
    ;;
  code)
    unpack "$_data/$2" "$_base/work"
    shift 2
    ;;
  limit)
    _limit=$2
    shift 2
    ;;
  report)
    begin "$2/$3/$4"
    shift 4
    ;;
  value | artifact)
    [ "$1" = value ] && _values="$_values $2" || _artifacts="$_artifacts $2"
    eval "_name$2=\$3 _type$2=\$4 _to$2=\$5"
    shift 5
    ;;
  *) broken "the launcher does not know \`$1\`" ;;
  esac
done
shift
cd "$_base/work" || broken 'cannot enter the working folder'
[ -z "$_stop" ] || fail canceled "" 'it was canceled' 143

# A shell makes what it runs beside itself deaf to INT and QUIT; only `env` of newer systems undoes that.
set -- "TMPDIR=$_base/tmp" "$@"
if "$_env" --default-signal=INT,QUIT true 2>/dev/null; then
  set -- --default-signal=INT,QUIT "$@"
fi
(
  trap - TERM
  exec "$_env" "$@"
) </dev/null &
_child=$!
[ -z "$_stop" ] || stop
_watch=
if [ -n "$_limit" ]; then
  (
    _sleep= _over=
    trap '_over=1; [ -z "$_sleep" ] || { kill -KILL "$_sleep"; exit; }' TERM
    doze "$_limit"
    : >"$_base/late"
    kill -TERM "$_child"
    doze 10
    kill -KILL "$_child"
  ) </dev/null >/dev/null 2>&1 &
  _watch=$!
fi
_again=
wait "$_child" 2>/dev/null # a shell would say how it ended, in the log of the program
_code=$?
while [ -n "$_again" ]; do
  _again=
  wait "$_child" 2>/dev/null
  _next=$?
  [ "$_next" -eq 127 ] || _code=$_next
done
_child=
[ -z "$_watch" ] || { rm -r "$_base/on"; kill "$_watch"; } 2>/dev/null
if [ -e "$_base/late" ]; then
  [ "$_code" -ne 0 ] || _code=124
  fail step_timeout "$_code" "took longer than $_limit s" "$_code"
fi
[ -z "$_stop" ] || fail canceled "$_code" 'it was canceled' 143
case $_code in 126 | 127) can_start || fail step_not_started "" "could not start \`$_program\`" "$_code" ;; esac
[ "$_code" -eq 0 ] || fail step_failed "$_code" "exited with code $_code" "$_code"

# wrong CODE WHAT: the program ended well, and the output _name is not what was declared.
wrong() {
  fail "$1" 0 "the output \`$_name\`$2" 1
}

# beside: says in _text what was written that nobody declared, what is named like the output _name first.
beside() {
  _text=
  set +f
  for _file in "$_base/out/$_name"?* "$_base/out/"*; do
    [ -e "$_file" ] || continue
    _file=${_file##*/}
    case "$_declared " in *" $_file "*) continue ;; esac
    _text="; the step wrote \`$_file\` beside it, and the path of an output is taken as it stands"
    break
  done
  set -f
}

_declared=
for _n in $_values $_artifacts; do
  eval "_declared=\"\$_declared \$_name$_n\""
done
set --
for _n in $_values $_artifacts; do
  eval "_name=\$_name$_n _type=\$_type$_n _to=\$_to$_n"
  _file=$_base/out/$_name
  [ ! -h "$_file" ] || wrong output_invalid ' is a link; write the content itself'
  if [ ! -e "$_file" ]; then
    beside
    wrong output_missing " was not written$_text"
  fi
  case $_type in
  directory) [ -d "$_file" ] || wrong output_invalid ' is not a directory' ;;
  *) [ -f "$_file" ] || wrong output_invalid ' is not a regular file' ;;
  esac
  case " $_values " in *" $_n "*) set -- "$@" "$_name" "$_type" "$_file" "$_to" ;; esac
done

# by_hand NAME TYPE FILE TO: what Python would do, as far as a shell can.
by_hand() {
  _name=$1
  [ `wc -c <"$3"` -le 65536 ] || wrong output_invalid ': the value is more than 65,536 bytes of text'
  [ `LC_ALL=C tr -d '\001-\177' <"$3" | wc -c` -eq 0 ] ||
    wrong output_invalid ': the image has no Python to read more than ASCII with'
  _text=`cat "$3" && echo x` || wrong output_invalid ' could not be read'
  _text=${_text%x} _sign=
  if [ "$2" != string ]; then
    _bare=`printf %s "$_text" | tr '[:upper:]' '[:lower:]' | tr '\011-\015' ' '`
    _bare=${_bare#"${_bare%%[! ]*}"}
    _bare=${_bare%"${_bare##*[! ]}"}
    case $_bare in -*) _sign=- ;; esac
    _bare=${_bare#[-+]}
  fi
  case $2 in
  string) ;;
  boolean)
    case $_sign$_bare in true | false) _text=$_bare ;; *) wrong output_invalid ": expected boolean" ;; esac
    ;;
  integer)
    case $_bare in '' | *[!0-9]*) wrong output_invalid ": expected integer" ;; esac
    [ "${#_bare}" -le 4300 ] || wrong output_invalid ': the number has too many digits'
    _text=${_bare#"${_bare%%[!0]*}"}
    [ -n "$_text" ] && _text=$_sign$_text || _text=0
    ;;
  number)
    case $_bare in
    '' | . | *[!0-9.]* | *.*.*) wrong output_invalid ': the image has no Python to read such a number with' ;;
    *.*) _text=${_bare#*.} _bare=${_bare%%.*} ;;
    *) _text=0 ;;
    esac
    _bare=${_bare#"${_bare%%[!0]*}"}
    _text=${_text%"${_text##*[!0]}"}
    _text=${_bare:-0}.${_text:-0}
    # Up to 15 digits are the shortest text of a number; smaller and larger ones are written with an exponent.
    case $_text in
    ????????????????* | 0.0000*[1-9]*) wrong output_invalid ': the image has no Python to read such a number with' ;;
    esac
    _text=$_sign$_text
    ;;
  *) wrong output_invalid ": the image has no Python to read a value of type $2 with" ;;
  esac
  mkdir -p "${4%/*}" || wrong output_invalid ' could not be handed on'
  case $_plain$_text in
  yes*) ;;
  '' | *[!A-Za-z0-9_.,:/+-]* | penstock-*:*)
    command -v base64 >/dev/null || wrong output_invalid ': the image has neither base64 nor Python to hand it on with'
    _text=penstock-b64:`printf %s "$_text" | base64 | tr -d '\n'`
    ;;
  esac
  printf %s "$_text" >"$4" || wrong output_invalid ' could not be handed on'
}

if [ -n "$_values" ]; then
  if find_python; then
    _text=`"$_python" -I -S -c "$_outputs" "$_plain" "$@" 2>&1` || fail output_invalid 0 "$_text" 1
  else
    while [ "${1+there}" ]; do
      by_hand "$1" "$2" "$3" "$4"
      shift 4
    done
  fi
fi
for _n in $_artifacts; do
  eval "_name=\$_name$_n _to=\$_to$_n"
  mkdir -p "${_to%/*}" && rm -rf "$_to" && cp -RL "$_base/out/$_name" "$_to" 2>"$_base/said" && continue
  _text=`tail -n 1 "$_base/said"`
  wrong output_invalid " could not be handed on: $_text"
done
tell succeeded 0 ""
exit 0
