r"""From a command to the string that ecs:ExecuteCommand gets; all quoting is done here.

The agent splits that string into words and executes them without a shell, on a terminal that echoes its input and
prints `\r\n` for `\n`. It never tells the exit status. So what it is given is a small POSIX script that makes the
terminal raw, waits for the client's word, runs the command in a shell of its own, and prints marks around and into the
output. What the marks mean is told in `output`; the words that the client sends back are told here.

The script takes no tool for granted but the shell: `stty`, `cat`, `setsid` are used where they are. It runs with dash,
bash, busybox ash, ksh93 and zsh. What no shell's `read` can carry, a NUL on stderr, is lost.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
from collections.abc import Iterator, Mapping
from typing import NamedTuple

MAX_INLINE = 8000
"""Longest string given to ecs:ExecuteCommand, in characters. The API's own limit is not documented; this one is far
below the lengths that are known to work."""

MAX_COMMAND = 131071
"""Longest command in bytes: what the Linux kernel takes as one argument (MAX_ARG_STRLEN less the closing NUL)."""

LINE = 768
"""Encoded bytes in one line of a command that is sent through the channel: below the 1,024 bytes that the agent takes
at once, and far below the 4,095 that a terminal which could not be made raw holds."""

# What the client says to the script, one word a line. None is longer than a terminal's shortest line buffer.
GO = b"g\n"
"""Begin. Until the script has read it, the command was not started; so whoever has not sent it may start anew."""
BYE = b"q\n"
"""The end mark was seen."""
STILL_HERE = b"h\n"
"""The client is still reading; restarts the time the script waits for BYE. Not for a terminal that echoes."""
INTERRUPT = b"kINT\n"
KILL = b"kKILL\n"


# The first word is waited for twelve times 25 seconds: a client that is
# gone must not leave a shell behind, which would count as a session. Some shells take a time themselves, the others get
# it from the terminal; busybox polls before it reads, and the terminal's would never be over.
_BEGIN = r"""
[ -z "$ZSH_VERSION" ] || emulate sh
_a=$1 _b=$2 _s=$3 _t=$4 _u=$5 _d=$6 _c=$7 _r=$8 _e= _i=
exec 3>&1 4<&0 2>/dev/null
m() { printf '\036%s%s%s\n' "$_a" "$_b" "$1" >&3; }
no() { m "F$1"; read -r _w; exit 125; }
has() { command -v "$1" >/dev/null; }
stty raw -echo icrnl min 0 time 250 && _k=r || _k=c
m B$_k
_n=0 _o=
echo | read -r -t 9 _w && _o='-t 25'
until IFS= read -r $_o _w; do
  _n=$((_n + 1))
  [ $_n -lt 12 ] || exit 125
done
[ "$_w" = g ] || exit 125
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
[ -z "$_d" ] || CDPATH= cd -- "$_d" || no d
set -- "$_s"
if [ "$_u" ] && [ "$(id -un)" != "$_u" ] && [ "$(id -u)" != "$_u" ]; then
  eval "_h=~$_u"
  _i=$(id -g "$_u") || _i=$_u
  if has id && ! id "$_u" >/dev/null; then
    case $_u in *[!0-9]*) no n ;; esac
  fi
  if setpriv --reuid "$_u" --regid "$_i" --init-groups true; then
    set -- setpriv --reuid "$_u" --regid "$_i" --init-groups "$@"
  elif setpriv --reuid "$_u" --regid "$_i" --clear-groups true; then
    set -- setpriv --reuid "$_u" --regid "$_i" --clear-groups "$@"
  elif runuser -u "$_u" -- true; then
    set -- runuser -u "$_u" -- "$@"
  elif su -s "$_s" -c : "$_u"; then
    set -- su -s "$_s" "$_u"
  else
    no u
  fi
  case $_h in /*) export HOME="$_h" ;; esac
  export USER="$_u" LOGNAME="$_u"
fi
eval "$_e"
bye() {
  stty min 0 time 250 <&4
  while IFS= read -r $_o _w <&4; do [ "$_w" != q ] || break; done
}
"""

_ONLY_UPLOAD = r"""
m A
"$@" -c "$_r" <&4 3>&3 >/dev/null
m X$?
bye
"""

# A hang-up kills the first process, which must have started `control` before it starts the command, and no shell can.
# So `hold`, a process of its own, starts both, with signals ignored that are set back for the command. ksh93 cannot set
# them back, and takes them without doing anything; it resets that in each process that it starts, so `control` is none
# of its own there, but the last part of a pipeline. It starts none for parentheses either.
# A hang-up may also end `launch`, and the wait for the status with it, before the process that reads the client's words
# has killed the command; then `control` does.
# `upload` leaves the path of what it received in _f, which is removed at the end, however that comes. The path comes
# from a process of the user's, so it becomes part of a command only in the form that the receiver gives it, and the
# user removes it: root would remove whatever that process named. With a terminal of its own (group 0) a command is
# killed together with who would remove it.
_RUN = r"""
#upload
drop() {
  if [ $# = 1 ]; then
    rm -f -- "$_f" || : >"$_f"
  else
    "$@" -c "rm -f -- $_f || : >$_f" </dev/null >/dev/null 3>&- 4<&-
  fi
}
upload() {
  m A
  _f=$("$@" -c "$_r" <&4 3>&3 6>&1 >/dev/null) || return
  case $_f in
  *[!A-Za-z0-9/._-]*) return 1 ;;
  /*/.ecs-exec-????????????????) ;;
  *) return 1 ;;
  esac
  printf '%s\n' "$_f" >&6
  _c="_f=$_f
$_c"
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
      printf '\036%s%sp%.400s\n' "$_a" "$_b" "$_l"
      _l=${_l#$_q}
    done
    printf '\036%s%s%s%s\n' "$_a" "$_b" $_f "$_l"
  done
}
relay() {
  if has cat; then
    cat
  else
    while IFS= read -r _l; do printf '%s\n' "$_l"; done
    printf %s "$_l"
  fi
}
_x='printf "%s\n" "-$$" >&6; exec "$@" 2>&7 3>&- 4<&- 5>&- 6>&- 7>&-'
launch() {
  trap - HUP INT QUIT TERM
  if has setsid; then
    setsid "$_s" -c "$_x" "$_s" "$@"
  else
    set -m
    "$_s" -c "$_x" "$_s" "$@" &
    wait $!
  fi
  echo $? >&6
}
control() {
  trap '' HUP INT QUIT TERM
  #upload
  IFS= read -r _f
  #all
  read -r _g
  #upload
  if [ -z "$_g" ]; then
    m X125
    bye
    return
  fi
  #all
  {
    while IFS= read -r _w; do
      #upload
      [ "$_g$_w" != 0kKILL ] || drop "$@"
      #all
      case $_w in k*) kill -s "${_w#k}" -- "$_g" ;; esac
    done
    #upload
    [ "$_g" != 0 ] || drop "$@"
    #all
    kill -s KILL -- "$_g"
  } <&4 >/dev/null &
  _w=$!
  read -r _z || {
    m X
    #upload
    drop "$@"
    #all
    kill -s KILL -- "$_g"
  }
  while read -r _l; do :; done
  kill -s KILL $_w
  wait $_w
  #upload
  drop "$@"
  #all
  m "X$_z"
  bye
}
hold() {
  trap "$_i" HUP INT QUIT TERM
  if [ "$_t" ]; then
    {
      trap - HUP
      trap : INT QUIT TERM
      #upload
      upload "$@" || exit
      #all
      echo 0 >&6
      "$@" -c "$_c" </dev/null >&3 2>&3 3>&- 4<&- 6>&-
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
[ -z "$KSH_VERSION" ] || _i=:
trap "$_i" HUP INT QUIT TERM
if [ "$_i" ]; then
  { hold "$@"; } | { trap '' HUP INT QUIT TERM; read -r _w; }
else
  (hold "$@")
fi
:
"""


def _minified(script: str, *, upload: bool = False) -> str:
    """Take the indentation away, which would travel with every command, and what only a session with an upload needs.

    That stands between lines `#upload` and `#all`.
    """
    kept = True
    lines: list[str] = []
    for line in map(str.strip, script.strip().splitlines()):
        if line.startswith("#"):
            kept = upload or line != "#upload"
        elif kept and line:
            lines.append(line)
    return "\n".join(lines)


_COMMAND = _minified(_BEGIN + "m S\n" + _RUN)
_COPY = _minified(_BEGIN + _ONLY_UPLOAD)
_UPLOADED = _minified(_BEGIN + _RUN, upload=True)


class Wrapped(NamedTuple):
    """A command made ready for one session."""

    command: str
    """What ecs:ExecuteCommand is given."""
    mark: bytes
    """What begins every mark of this session in the output."""
    payload: tuple[bytes, ...] = ()
    """Lines to send after the begin mark, each to be acknowledged but the last; empty when `command` holds all.

    With a receiver one acknowledgement more says that its bootstrap reads now."""


def new_nonce() -> str:
    """Return a random 128-bit word for the marks of one session, 32 hexadecimal digits."""
    return secrets.token_hex(16)


def quote(word: str) -> str:
    """Quote one word for the agent's splitter, which reads POSIX quotes.

    `{{` is parted by an empty pair of quotes: the service would take `{{ssm:name}}` for a parameter to look up.
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

    With a `receiver`, the bootstrap of the module of that name, a file is received first, and the command finds its
    path in the variable `_f`; without a command that is all. Texts are as os.environ gives them (undecodable bytes as
    surrogates). `env` always travels through the channel, as the string given to ecs:ExecuteCommand is kept by
    CloudTrail and by session logs.
    """
    mark = b"\x1e" + nonce.encode()
    half = len(nonce) // 2
    script = (_UPLOADED if command else _COPY) if receiver else _COMMAND
    words = [shell, "-c", script, "ecs-exec", nonce[:half], nonce[half:], shell, "t" if tty else "", user, workdir]
    if receiver and not command:
        return Wrapped(" ".join(quote(word) for word in [*words, ":", receiver]), mark)
    if not env and not receiver and _fits_inline(command):
        inline = " ".join(quote(word) for word in [*words, command])
        if len(inline) <= MAX_INLINE:
            return Wrapped(inline, mark)
    return Wrapped(" ".join(quote(word) for word in [*words, "", receiver]), mark, tuple(_payload(command, env or {})))


def split(command: str) -> str:
    """Return the words of `command` for the agent to execute without any shell.

    Raises ValueError when the quotes in `command` do not pair.
    """
    return " ".join(quote(word) for word in shlex.split(command))


def _fits_inline(command: str) -> bool:
    """Tell whether the API takes the command as it is: text without control characters, and not empty."""
    if not command or re.search(r"[\x00-\x08\x0b-\x1f\x7f]", command):
        return False
    try:
        command.encode()
    except UnicodeEncodeError:  # bytes that are no text
        return False
    return True


def _payload(command: str, env: Mapping[str, str]) -> Iterator[bytes]:
    """Yield the lines that carry the environment and the command, and the last one with their lengths."""
    setup = "\n".join(f"export {name}={single_quoted(value)}" for name, value in env.items())
    lengths = []
    for kind, text in ((b"e", setup), (b"c", command)):
        encoded = encode(os.fsencode(text))
        lengths.append(str(len(encoded)))
        for start in range(0, len(encoded), LINE):
            yield kind + encoded[start : start + LINE] + b"\n"
    yield f".{' '.join(lengths)}\n".encode()


def single_quoted(value: str) -> str:
    """Quote one word for a shell."""
    return "'" + value.replace("'", "'\\''") + "'"


_ENCODED = [bytes([byte]) if 0x20 <= byte < 0x7F and byte != ord("\\") else b"\\0%03o" % byte for byte in range(256)]  # noqa: PLR2004


def encode(data: bytes) -> bytes:
    r"""Write bytes in printable ASCII, the rest as `\0ooo`, which every shell's `printf %b` reads."""
    return b"".join(_ENCODED[byte] for byte in data)
