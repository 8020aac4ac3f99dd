r"""Builds the string for ecs:ExecuteCommand from a command. All quoting happens here.

The agent splits that string into words and executes them without a shell, on a terminal that echoes its input and
prints `\r\n` for `\n`. It never reports the exit status. So the string starts a small POSIX script. The script makes
the terminal raw, waits for the client's first word, runs the command in a shell of its own, and prints marks around and
into the output. `output` describes the marks. This module describes the words that the client sends back.

The script needs no tool but the shell: it uses `stty`, `cat` and `setsid` if the image has them. It runs with dash,
bash, busybox ash, ksh93 and zsh. A NUL on stderr is lost, because no shell's `read` can carry one.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping

from ecs_exec.record import NamedTuple

MAX_INLINE = 8000
"""Longest string passed to ecs:ExecuteCommand, in characters. The API's own limit is not documented; this one is far
below the lengths that are known to work."""

LINE = 768
"""Encoded bytes in one line of a command that is sent through the channel. It is below the 1,024 bytes that the agent
reads at once, and far below the 4,095 bytes that the line buffer of a terminal holds if it could not be made raw."""

# The client's words to the script, one a line. None is longer than a terminal's shortest line buffer.
_GO = b"g %s\n"
"""Begin. Carries the session's random word. The script starts no command before it has read this word, so a client that
has not sent it may start another session."""
BYE = b"q\n"
"""The client saw the end mark; the script may exit."""
STILL_HERE = b"h\n"
"""The client is still reading. Restarts the script's wait for BYE. Never sent to a terminal that echoes: the echo would
become output."""
PING = b"p\n"
"""Asks for the mark `L`, which shows without a call of AWS's API that the agent and the script are alive. Restarts the
script's wait for BYE, too. Never sent to a terminal that echoes, or that the command uses."""
INTERRUPT = b"kINT\n"
KILL = b"kKILL\n"

RECEIVED = '"$_f"'
"""Placeholder for the path of the received file: the script replaces the first one in the command. A variable would
hide the image's own variable of that name, and a startup file may change the positional parameters."""

NEEDED_PROCESSES = 13
"""Most processes that a session has in the container at one time, if the command is one process."""

_FLAGS = {"bash": "-p", "zsh": "-f"}
"""Options that keep the script's shell from reading the image's startup file (BASH_ENV, .zshenv). The command's own
shell does read it. With `-p` bash also takes no functions and no options from the environment. `sh` gets no option:
dash before 0.5.11 and busybox refuse `-p`, and no shell reads a startup file when it is called `sh` with a `-c`."""

# A shell takes settings from the image's environment, before the script's first line or while it runs. Each of these
# was tried in each shell:
# - bash, also when it is called sh, takes the functions and options that the image exports (BASH_FUNC_x%%, SHELLOPTS,
#   BASHOPTS). A function cannot replace an assignment, so the script begins with one: with POSIXLY_CORRECT set, special
#   builtins (set, unset, eval) come before functions. /proc still holds the exported values unchanged.
# - TMOUT ends `read` in bash and ksh93. In ksh93 that limit outlives an `unset`, but not a TMOUT=0 before it.
# - FPATH (ksh93, mksh) and EXECIGNORE (bash) change which programs are found.
# - FUNCNEST ends nested functions in bash. yash runs YASH_AFTER_CD and COMMAND_NOT_FOUND_HANDLER. zsh takes IFS.
# - If the image exports a variable with the name of one of ours, ours stays exported too: then each child had the
#   session's word in its environment.
# - BASH_VERSION and similar variables may come from the image. So the code behind such a check must do no harm in
#   another shell: `command` keeps dash alive when `set` or `export` refuses a flag.
# The positional parameters become what the command's shell gets back: NAME=VALUE and -NAME (to unset), then `--`, then
# `env` with the values that no shell can assign. Values that ksh93, mksh and zsh set by themselves (TMOUT=0 ...) are
# not the image's, so they are left out.
_CLEAN = r"""
case ${BASH_VERSION-} in
?*)
  POSIXLY_CORRECT=y
  set +a
  ;;
esac
set -- "$@" ${_v+"_v=$_v"}
unset _v
for _v in @OURS@ TMOUT CDPATH BASH_ENV ZDOTDIR EXECIGNORE FUNCNEST FPATH YASH_AFTER_CD \
  COMMAND_NOT_FOUND_HANDLER; do
  eval "case \${$_v+$_v=\$$_v} in
    '' | TMOUT=0 | CDPATH= | FUNCNEST=500 | FPATH=*/zsh/*) ;;
    *) set -- \"\$@\" \"$_v=\$$_v\"; TMOUT=0; unset $_v ;;
    esac"
done
case $IFS in ' '*) ;; *) set -- "$@" "IFS=$IFS" ;; esac
IFS=' 	'
_o=
case ${BASH_VERSION-} in
*.*.*'('*)
  unset -f command read printf shopt [ kill wait cat stty setsid id echo
  command set +abefhkmnuvxBCEHPT
  command shopt -u expand_aliases extdebug nullglob failglob nocasematch nocaseglob xpg_echo lastpipe checkwinsize
  command export -n SHELLOPTS BASHOPTS
  while IFS= read -r -d '' _v; do
    case $_v in
    BASH_FUNC_*)
      case $- in *p*) continue ;; esac
      _n=${_v#BASH_FUNC_}
      _n=${_n%%'%%='*}
      unset -f "${_n%%'()='*}"
      ;;
    POSIXLY_CORRECT=*)
      set -- "$@" "$_v"
      continue
      ;;
    SHELLOPTS=* | BASHOPTS=*) ;;
    *) continue ;;
    esac
    printf -v _v %q "$_v"
    _o="$_o $_v"
  done </proc/$$/environ
  unset POSIXLY_CORRECT
  [ -z "$_o" ] || _o="$(command -v env) $_o"
  ;;
esac
"""

# zsh keeps the limit of FUNCNEST after an `unset`, and does not split words unless it emulates sh.
# mksh has no builtin printf. A program of that name would show the session's word to everyone who lists processes, so
# `print` stands in for it. `set +U` makes mksh count bytes: it counts characters otherwise.
DIALECTS = r"""
case ${ZSH_VERSION-} in
?*)
  emulate -R sh
  FUNCNEST=500
  ;;
esac
case ${KSH_VERSION-} in
*MIRBSD* | *LEGACY*)
  set +U
  _j=$'\036'
  eval 'printf() {
    case $1 in
    %b*) print -n -- "$2${1#%b}" ;;
    %s) print -rn -- "$2" ;;
    %s?n) print -r -- "$2" ;;
    *.400s*) print -r -- "$_j$2p${3:0:400}" ;;
    *) print -r -- "$_j$2$3" ;;
    esac
  }'
  ;;
esac
"""

# The parameters are $1 shell, $2 `t` for a terminal, $3 user, $4 working directory, $5 the shell's options, $6 command,
# $7 receiver's bootstrap. Descriptor 3 is the terminal's output, 4 its input.
# The first thing printed is a greeting without the session's word: session-manager-plugin takes no input before there
# is output.
# A restricted shell (`r` in `$-`) refuses the redirections that follow, so it only reports that (`F r`).
# The wait for the first word is twelve times 25 seconds. A client that is gone must not leave a shell behind: it would
# count as a session. If `read` takes `-t` (a read of /dev/null with it ends with status 1), the shell keeps the time.
# In the other shells the terminal keeps it (`min 0 time 250`). busybox polls before it reads, so the terminal's time
# would never be over there.
# `cd` changes OLDPWD and the shell itself changes SHLVL, so both are kept for the command. A PATH without rm gets the
# usual folders too: otherwise the received file could not be removed.
# `room 6` keeps up to NEEDED_PROCESSES processes alive at a time, to find out whether the container has that many left.
# It runs only if the limit is near: below 10,000 for the user, or 64 left or fewer in the cgroup.
# Before `exec 2>/dev/null` a shell that cannot fork reports that to the client.
# `as` runs its arguments without the NAME=VALUE words, which are only for the command. mksh passes descriptors above 2
# to a program only if the program's own redirections name them, hence `3>&3 6>&6`.
_BEGIN = r"""
_s=$1 _t=$2 _u=$3 _d=$4 _p=$5 _c=$6 _r=$7 _a= _e= _i= _y= _h=
shift 7
case $- in
*r*)
  printf '\036%s%s\n' ecs -exec
  IFS= read -r _a
  _a=${_a#g }
  printf '\036%s%s\n' "$_a" Bc
  printf '\036%s%s\n' "$_a" Fr
  read -r _w
  exit 125
  ;;
esac
exec 3>&1 4<&0
m() { printf '\036%s%s\n' "$_a" "$1" >&3; }
no() {
  m "F$1"
  read -r _w
  exit 125
}
has() { command -v "$1" >/dev/null 2>&1; }
set -- "$@" ${SHLVL+"SHLVL=$SHLVL"}
case $_d${OLDPWD+'?'} in
'' | '?') ;;
*'?') set -- "$@" "OLDPWD=$OLDPWD" ;;
*) set -- "$@" -OLDPWD ;;
esac
_w=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
if [ -z "${PATH-}" ]; then
  case ${PATH+x} in x) set -- "$@" PATH= ;; *) set -- "$@" -PATH ;; esac
  PATH=$_w
  _s=$(command -v "$_s")
#upload
elif ! has rm; then
  set -- "$@" "PATH=$PATH"
  PATH=$PATH:$_w
#all
fi
eval "set -- \"\$@\" -- $_o"
stty raw -echo icrnl min 0 time 250 && _k=r || _k=c
printf '\036%s%s\n' ecs -exec
_n=0 _o=
read -r -t 9 _w </dev/null
[ $? = 1 ] && _o='-t 25'
until IFS= read -r $_o _w; do
  _n=$((_n + 1))
  [ $_n -lt 12 ] || exit 125
done
case $_w in 'g '*[0-9a-f]*) _a=${_w#g } ;; *) exit 125 ;; esac
m B$_k
[ $_k = c ] || stty min 1 time 0
if [ -z "$_c" ]; then
  while IFS= read -r _w; do
    case $_w in
    e*) _e=$_e${_w#e} ;;
    c*) _c=$_c${_w#c} ;;
    .*) break ;;
    q) exit 125 ;;
    esac
    m A
  done
  [ "$_w" = ".${#_e} ${#_c}" ] || no l
  _e=$(printf '%b.' "$_e") _c=$(printf '%b.' "$_c")
  _e=${_e%.} _c=${_c%.}
fi
[ -z "$_d" ] || cd -- "$_d" || no d
#user
if [ "$_u" ]; then
  case $_u in
  *:*) _g=${_u#*:} _u=${_u%%:*} ;;
  *) _g= ;;
  esac
  while IFS=: read -r _l _w _f _z _q _h _x; do
    case $_u in "$_l" | "$_f") break ;; esac
    _l=
  done </etc/passwd
  if [ -z "$_l" ]; then
    _h=
    if has id && _f=$(id -u -- "$_u") && _z=$(id -g -- "$_u"); then
      _l=$(id -un -- "$_u")
      case $_l in *[!A-Za-z0-9._-]* | -*) _l= ;; ?*) eval "_h=~$_l" ;; esac
    else
      case $_u in *[!0-9]*) no n ;; esac
      _f=$_u _z=0
    fi
  fi
  if [ "$_g" ]; then
    while IFS=: read -r _n _w _z _q; do
      case $_g in "$_n" | "$_z") break ;; esac
      _n=
    done </etc/group
    [ "$_n" ] || _z=$_g
  fi
  case $_f in '' | *[!0-9]*) no n ;; esac
  case $_z in '' | *[!0-9]*) no g ;; esac
  case $_l in *[!A-Za-z0-9._-]* | -*) _l= ;; esac
  _n=
  while IFS=' 	' read -r _w _x _q; do
    case $_w in Uid:) _n=$_x ;; Gid:) _n=$_n:$_x && break ;; esac
  done </proc/self/status
  case $_g$_n in
  "$_f":*) ;;
  "$_g$_f:$_z") ;;
  *)
    case $_h in /*) ;; *) _h=/ ;; esac
    _q=--init-groups _w=$_l
    [ -z "$_g" ] || _q=--clear-groups _w=
    for _y in "setpriv --reuid $_f --regid $_z $_q" "setpriv --reuid $_f --regid $_z --clear-groups" \
      ${_w:+"runuser -u $_w --" "su -m -s $_s -- $_w"} \
      "chroot --userspec=$_f:$_z --skip-chdir /" "gosu $_f:$_z" "su-exec $_f:$_z" ''; do
      case $_y in
      su' '*) $_y $_p -c 'cd -- "$0" || exit 9' "$_h" ;;
      ?*) $_y "$_s" $_p -c 'cd -- "$0" || exit 9' "$_h" ;;
      *) no u ;;
      esac
      case $? in
      9)
        _h=/
        case $_y in runuser*) _y="$_y env HOME=/" ;; esac
        ;;
      0) ;;
      *) continue ;;
      esac
      break
    done
    export HOME="$_h" USER="$_l" LOGNAME="$_l"
    [ "$_l" ] || unset USER LOGNAME
    ;;
  esac
fi
case $_y in
su' '*) set -- "$@" $_y ;;
*) set -- "$@" $_y "$_s" ;;
esac
#nobody
set -- "$@" "$_s"
#all
room() {
  if [ $1 = 0 ]; then
    echo y
  else
    room $(($1 - 1)) | { read -r _w && echo $_w; }
  fi
}
_n=
{
  while IFS=' 	' read -r _l _w _x _q; do
    case $_l$_w in Maxprocesses) _n=$_x ;; esac
  done </proc/self/limits
  case $_n in ? | ?? | ??? | ????) _n=y ;; *) _n= ;; esac
  for _x in /sys/fs/cgroup /sys/fs/cgroup/pids; do
    read -r _w <$_x/pids.max && read -r _l <$_x/pids.current || continue
    case $_w in *[!0-9]*) ;; *) [ $((_w - _l)) -gt 64 ] || _n=y ;; esac
  done
} 2>/dev/null
[ -z "$_n" ] || [ "$(room 6)" = y ] || no p
exec 2>/dev/null
eval "$_e"
bye() {
  stty min 0 time 250 <&4
  while IFS= read -r $_o _w <&4; do [ "$_w" != q ] || break; done
}
#user
_y=${_y:+$_f}
#upload
as() {
  until [ "$1" = -- ]; do shift; done
  shift
  case $1 in
  */env)
    shift
    until case $1 in *=*) false ;; esac; do shift; done
    ;;
  esac
  "$@" 3>&3 6>&6
}
#all
"""

# For a copy: there is no command, so the receiver's own status is the session's.
_ONLY_UPLOAD = r"""
case ${KSH_VERSION-} in Version*) has whence && _i=: && trap '' HUP INT QUIT TERM ;; esac
m A
as "$@" $_p -c "$_r" "$_s" "$_i" <&4 6>/dev/null >/dev/null
m X$?
bye
"""

# Processes: `launch` starts the command and reports its status, `errors` frames its stderr, `relay` passes its stdout
# on, `control` reads the client's words, kills the command and prints the end mark. `hold` starts all of them.
# Descriptors: 3 is the terminal's output, 4 its input. 5 is the pipe to `relay`, 6 the pipe to `control` (path of the
# received file, process group, status), 7 the pipe to `errors`, or the terminal if the command has one. In `control`
# 5 is its end of pipe 6: the input of a process in the background is /dev/null at first.
#
# A hang-up kills the first process at any moment. `control` would have to run before the command does, and no shell can
# start it so. So `hold`, a process of its own, starts both. It ignores the signals, and they are reset for the command.
# ksh93 cannot reset them; there a trap takes them and does nothing. ksh93 drops that trap in each process that it
# starts. So `control` is not such a process there, but the last part of a pipeline. ksh93 starts no process for
# parentheses either.
# `upload` ignores the signals in every shell until `control` has the path: otherwise a file that nobody knows would
# stay.
# A hang-up may also end `launch`, and with it the wait for the status, before the process that reads the client's words
# has killed the command. Then `control` kills it.
# `upload` leaves the path of the received file in _f. The file is removed at the end, however the end comes. The path
# comes from a process of the user's. So it becomes part of a command only if it has the receiver's form, and the user
# removes it: root would remove whatever that process named. A command with a terminal of its own (group 0) is killed
# together with the process that would remove the file, so the file is removed before.
# The process that reads the client's words passes `L` to `control`, which answers the PING. It does not answer itself:
# it is killed before the end mark, and half of an answer would be output. It also reads on while a full terminal delays
# the answer. It opens pipe 6 for writing in /proc. That fails in ksh93, whose pipes are sockets, so there is no
# answer there.
# ksh93 waits for all parts of a pipeline only with pipefail. The other parts stayed as zombies if the container's first
# process reaps nothing.
# A command that never reported its process group (0: the terminal's) was not started; the mark is `X n` then.
# `errors` sets LC_ALL=C, so that it cuts lines at 400 bytes: a frame stays below 512 bytes. `_q` is 400 question marks.
# `relay` sets it for bash, whose `read` loses a byte 1 behind an incomplete UTF-8 character.
# `own` gives stdout and stderr to the user: otherwise that user could not open them by name, as /dev/stdout.
# `setsid` gives the command a process group of its own; without it `set -m` does.
# `_x` restores the environment as the image set it, before it becomes the command's shell. Two shells have counted
# SHLVL up by then; `exec` counts it down in bash, ksh93 and zsh, but not in busybox. The other shells do not count.
_RUN = r"""
#upload
drop() {
  if [ -z "$_y" ]; then
    rm -f -- "$_f" || : >"$_f"
  else
    as "$@" $_p -c "rm -f -- $_f || : >$_f" </dev/null >/dev/null 6>/dev/null
  fi
}
upload() {
  trap '' HUP INT QUIT TERM
  m A
  _f=$(as "$@" $_p -c "$_r" "$_s" "$_i" <&4 6>&1 >/dev/null) || return
  case $_f in
  *[!A-Za-z0-9/._-]*) return 1 ;;
  /*/.ecs-exec-????????????????) ;;
  *) return 1 ;;
  esac
  printf '%s\n' "$_f" >&6
  _w='"$_f"'
  _c=${_c%%"$_w"*}$_f${_c#*"$_w"}
  m S
}
#all
_q='????????????????????'
_q=$_q$_q$_q$_q$_q
_q=$_q$_q$_q$_q
errors() {
  LC_ALL=C
  _f=e
  while [ $_f = e ]; do
    IFS= read -r _l || _f=p
    [ $_f = e ] || [ "$_l" ] || break
    while [ ${#_l} -gt 400 ]; do
      printf '\036%sp%.400s\n' "$_a" "$_l"
      _l=${_l#$_q}
    done
    printf '\036%s%s\n' "$_a$_f" "$_l"
  done
}
relay() {
  if has cat; then
    cat
  else
    LC_ALL=C
    while IFS= read -r _l; do printf '%s\n' "$_l"; done
    printf %s "$_l"
  fi
}
_x='until [ "$1" = -- ]; do
  case $1${BASH_VERSION-}${ZSH_VERSION-}${KSH_VERSION-} in
  -*) unset "${1#-}" ;;
  "SHLVL=${SHLVL-}") ;;
  SHLVL=*[!0-9]*) export "$1" ;;
  SHLVL=*) export "SHLVL=$((SHLVL - 2))" ;;
  *) export "$1" ;;
  esac
  shift
done
shift
exec "$@" 2>&7 3>&- 4<&- 5>&- 6>&- 7>&-'
_z='echo -$$'
[ -z "$_t" ] || _z='echo 0'
_z="$_z >&6 && { $_x
}"
#user
own() { [ -z "$_y" ] || chown "$_y" /proc/self/fd/1 /proc/self/fd/7; }
#all
launch() {
  #user
  own
  #all
  trap - HUP INT QUIT TERM
  if has setsid; then
    setsid "$_s" $_p -c "$_z" "$_s" "$@"
  else
    set -m
    {
      "$_s" $_p -c "$_z" "$_s" "$@" >&8 8>&- &
      wait $!
    } 8>&1 >/dev/null
  fi
  echo $? >&6
}
control() {
  trap '' HUP INT QUIT TERM
  #upload
  IFS= read -r _f
  #all
  read -r _g
  case $_g in
  0 | -*) ;;
  *)
    #upload
    [ "$_f" ] && m Xn || m X125
    [ -z "$_f" ] || drop "$@"
    #all
    #command
    m Xn
    #all
    bye
    return
    ;;
  esac
  {
    {
      while IFS= read -r _w; do
        #upload
        [ "$_g$_w" != 0kKILL ] || drop "$@"
        #all
        case $_w in
        k*) kill -s "${_w#k}" -- "$_g" ;;
        p) echo L >/proc/self/fd/5 ;;
        esac
      done
      #upload
      [ "$_g" != 0 ] || drop "$@"
      #all
      kill -s KILL -- "$_g"
    } <&4 >/dev/null &
  } 5<&0
  _w=$!
  _z=L
  while [ "$_z" = L ]; do
    read -r _z || {
      _z=
      m X
      #upload
      drop "$@"
      #all
      kill -s KILL -- "$_g"
    }
    [ "$_z" != L ] || m L
  done
  while read -r _l; do :; done
  kill -s KILL $_w
  wait $_w
  #upload
  drop "$@"
  #all
  [ -z "$_t" ] || stty raw -echo icrnl <&4
  m "X$_z"
  bye
}
hold() {
  trap "$_i" HUP INT QUIT TERM
  if [ "$_t" ]; then
    {
      #upload
      upload "$@" || exit
      #all
      trap - HUP
      trap : INT QUIT TERM
      #user
      own >&3 7>&3
      #all
      "$_s" $_p -c "$_z" "$_s" "$@" -c "$_c" </dev/null >&3 7>&3 3>&- 4<&-
      echo $? >&6
    } 6>&1 | control "$@"
  else
    {
      {
        {
          #upload
          upload "$@" &&
          #all
          launch "$@" -c "$_c"
        } 7>&1 >&5 </dev/null | errors
      } 5>&1 | relay >&3
    } 6>&1 | control "$@"
  fi
}
case ${KSH_VERSION-} in Version*) has whence && set -o pipefail && _i=: ;; esac
trap "$_i" HUP INT QUIT TERM
if [ "$_i" ]; then
  { hold "$@"; } | { trap '' HUP INT QUIT TERM; read -r _w; }
else
  (hold "$@")
fi
:
"""


def _minified(script: str, *kinds: str) -> str:
    """Return a script without its indentation, which would travel with every command, and without unneeded parts.

    Lines between `#KIND` and `#all` are kept only for sessions of one of the `kinds`.
    """
    kept = True
    lines: list[str] = []
    for line in map(str.strip, script.strip().splitlines()):
        if line.startswith("#"):
            kept = line[1:] in ("all", *kinds)
        elif kept and line:
            lines.append(line)
    return "\n".join(lines)


def _whole(*parts: str, upload: str, user: str) -> str:
    """Join the parts of a script, and fill in the names of its own variables.

    The script removes variables of these names from the image's environment, and restores them for the command.
    """
    script = _minified("\n".join([_CLEAN, DIALECTS, *parts]), upload, user)
    # _CLEAN itself uses _v to go through the others, and keeps the image's _v on its own.
    ours = sorted(set(re.findall(r"\b_[a-z]\b", script)) - {"_v"})
    return script.replace("@OURS@", " ".join(ours))


_COMMAND = _whole(_BEGIN, "m S\n", _RUN, upload="command", user="nobody")


def _script(command: str, user: str, receiver: str) -> str:
    """Return the script for a session with or without a command, another user and a receiver."""
    if not user and not receiver:
        return _COMMAND
    parts = (_BEGIN, _ONLY_UPLOAD) if not command else (_BEGIN, _RUN) if receiver else (_BEGIN, "m S\n", _RUN)
    return _whole(*parts, upload="upload" if receiver else "command", user="user" if user else "nobody")


class Wrapped(NamedTuple):
    """A command made ready for one session."""

    command: str
    """The string for ecs:ExecuteCommand."""
    mark: bytes
    """The beginning of every mark of this session in the output."""
    payload: tuple[bytes, ...] = ()
    """Lines to send after the begin mark; empty when `command` holds all. The script acknowledges each but the last.

    With a receiver there is one more acknowledgement: its bootstrap now reads."""
    go: bytes = b""
    """The client's first word. It starts the command, and brings the session's random word to the script."""
    terminal: bool = False
    """The command's output is the terminal itself."""


def new_nonce() -> str:
    """Return a random 128-bit word for the marks of one session, 32 hexadecimal digits."""
    return os.urandom(16).hex()


def quote(word: str) -> str:
    """Quote one word for the agent's splitter, which reads POSIX quotes.

    An empty pair of quotes separates the braces of `{{`: the service would take `{{ssm:name}}` for a parameter to look
    up.
    """
    return re.sub(r"\{(?=\{)", "{''", "'" + word.replace("'", "'\"'\"'") + "'")


def wrap(
    command: str,
    *,
    nonce: str,
    shell: str = "/bin/sh",
    user: str = "",
    workdir: str = "",
    tty: bool = False,
    env: Mapping[str, str] | None = None,
    receiver: str = "",
) -> Wrapped:
    """Wrap `command` for a container that has a shell.

    `nonce` is the session's random word, from `new_nonce`. `receiver` is the bootstrap of the module of that name. With
    it the script first receives a file, and the file's path replaces RECEIVED in the command; without a command,
    receiving is all. Texts are as os.environ gives them (undecodable bytes as surrogates). `env` always travels through
    the channel, because CloudTrail and session logs keep the string that is passed to ecs:ExecuteCommand.
    """
    mark, go = b"\x1e" + nonce.encode(), _GO % nonce.encode()
    flags = _FLAGS.get(os.path.basename(shell), "")
    script = _script(command, user, receiver)
    # Behind the script come `$0` and the parameters of _BEGIN; the command and the receiver follow below.
    words = [shell, *flags.split(), "-c", script, "ecs-exec", shell, "t" if tty else "", user, workdir, flags]
    if receiver and not command:
        return Wrapped(" ".join(quote(word) for word in [*words, ":", receiver]), mark, go=go)
    if not env and not receiver and _fits_inline(command):
        inline = " ".join(quote(word) for word in [*words, command, ""])
        if len(inline) <= MAX_INLINE:
            return Wrapped(inline, mark, go=go, terminal=tty)
    payload = tuple(_payload(command, env or {}))
    return Wrapped(" ".join(quote(word) for word in [*words, "", receiver]), mark, payload, go, tty)


def split(command: str) -> str:
    """Return `command` quoted so that the agent executes its words without a shell.

    Raises ValueError if a quote in `command` is not closed.
    """
    return " ".join(quote(word) for word in shlex.split(command))


def _fits_inline(command: str) -> bool:
    """Return whether the API takes the command unchanged: text without control characters, and not empty."""
    if not command or re.search(r"[\x00-\x08\x0b-\x1f\x7f]", command):
        return False
    try:
        command.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8 cannot be sent as JSON
        return False
    return True


def _payload(command: str, env: Mapping[str, str]) -> Iterator[bytes]:
    """Yield the lines that carry the environment and the command, then the line with their lengths.

    The script compares the lengths, so a command that arrives incomplete is not run.
    """
    setup = "\n".join(f"export {name}={single_quoted(value)}" for name, value in env.items())
    lengths = []
    for kind, text in ((b"e", setup), (b"c", command)):
        encoded = encode(os.fsencode(text))
        lengths.append(str(len(encoded)))
        for start in range(0, len(encoded), LINE):
            yield kind + encoded[start : start + LINE] + b"\n"
    yield f".{' '.join(lengths)}\n".encode()


def single_quoted(value: str) -> str:
    """Quote one word for a POSIX shell."""
    return "'" + value.replace("'", "'\\''") + "'"


_ENCODED = [bytes([byte]) if 0x20 <= byte < 0x7F and byte != ord("\\") else b"\\0%03o" % byte for byte in range(256)]  # noqa: PLR2004


def encode(data: bytes) -> bytes:
    r"""Return bytes as printable ASCII, all others as `\0ooo`, which every shell's `printf %b` reads."""
    return b"".join(_ENCODED[byte] for byte in data)
