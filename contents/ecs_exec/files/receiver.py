r"""The shell script that receives a file in the container. `upload` is its other end.

It runs as the user who will own the file. The session's terminal is its stdin and its descriptor 3. It prints the path
of the received file on descriptor 6: stdout belongs to the startup files of the user's shell, which may print. It needs
no tool. It reports which tools the image has, and the client chooses among them.

The script is not in any argument, because arguments can be read in /proc. `BOOTSTRAP`, which holds no secret, reads it
from the terminal. The script's first line holds the random word of the upload's own marks; only the receiver ever holds
that word. The marks:

    a                one line of the script was received
    r R D Z C N DIR  ready. R: how it can read: `d` and `e` blocks of raw bytes, `h` the same but one at a time, `l`
                     lines. D: what lines may hold: `b` and `o` Base64, `p` octal escapes. Z: `z` if it can gunzip. C:
                     the tool for checksums; `cat` or `read`: it can only send the file back. N: `n` if the destination
                     is a directory and the file's name was added to it. DIR: the directory where a relative path
                     begins, or the home directory that a `~` stands for
    g                the terminal is set up for the chosen way of reading
    k                one block or line was received
    <, >             the bytes between these two are the file, sent back
    v SIZE SUM       size and checksum of the file as it is now
    i TEXT           the file could not be renamed, for the reason TEXT, and was written into the existing file instead;
                     another `v` follows, of that file
    f CODE TEXT      it has given up, and removed everything that it had made; TEXT is a tool's own message

The client's words, a line each: the chosen R and Z; then `b SIZE PADDING` and a block of that many bytes, or for lines
`bb` and Base64 in words of 64, or `bp` and octal escapes; `e`: end of the file; `c` after each `v`: keep the file. On
anything else, and on the end of the terminal, the receiver undoes everything and exits. While raw bytes are read, each
line is padded to HEADER bytes.

A terminal's raw input is exact. `dd` returns early unless it knows `iflag=fullblock`. A `dd` without that reads pieces
of 64 bytes, and the terminal gathers as many (`min`; Linux gives a reader that waits for more no more than that at a
time). `head -c` of some systems reads more than asked. So no further bytes may be on their way behind a block, and the
first line of a block is acknowledged too. bash's `read` also reads ahead, so the other ways read that line like the
block.

The receiver enters the destination's directory once (`cd -P`), and does everything from inside. It writes the file
under a temporary name that did not exist before (`set -C`), through one descriptor, and renames it after the checksum
was found right. No step follows a link that somebody puts there meanwhile, apart from the moments that docs/scripts.md
names.

The receiver does nothing on signals: it ends at the end of its input. A ksh93 that itself traps or ignores a signal
does neither in a command substitution: a hang-up killed it there, or it copied the file onto itself for ever. So ksh93
is started with signals ignored, which the first parameter says, and leaves them alone. Programs that remove, restore or
rename are started with signals ignored: the end of a session sends more than one HUP. In yash the value of a loop's
variable ends with the function.
"""

from __future__ import annotations

import os
import secrets
from typing import NamedTuple

from ecs_exec.command import shell_wrapper

HEADER = 128
"""Bytes of a block's first line, the newline included."""

# `say` prints text unchanged, `o` decodes octal escapes. mksh has no builtin printf, and a program would show the words
# in its arguments. IFS splits the script into lines at the character that separates them.
_BOOTSTRAP = r"""
[ -z "$ZSH_VERSION" ] || emulate sh
set -f
i=$1
[ "$i" ] || trap : HUP INT TERM
j='
'
case $KSH_VERSION in
*MIRBSD*)
  say() { print -rn -- "$1"; }
  o() { print -n -- "$1"; }
  ;;
*)
  say() { printf %s "$1"; }
  o() { printf %b "$1"; }
  ;;
esac
x=$(o '\0036') c=
m() { say "$x$a$b$1$j" >&3; }
IFS=' ' read -r a b s || exit
m a
while IFS= read -r w; do
  case $w in
  r*) c=$c${w#r} ;;
  *) break ;;
  esac
  m a
done
[ "$w" = ".${#c}" ] || exit
IFS=$s
set -- $c
IFS=$j
c="$*"
IFS=" $j"
eval "$c"
"""
"""Reads the script from stdin and runs it. A character that the first line names separates the script's lines."""

HOME = r"""
home() {
  case $1 in
  '') h=$HOME ;;
  [!A-Za-z_]* | *[!A-Za-z0-9_.-]*) h= ;;
  *) eval "h=~$1" ;;
  esac
  case $h in /*) return ;; esac
  h=
  w=${1:-$(id -un)}
  while IFS=: read -r l e e e e e s; do
    [ "$l" != "$w" ] || { h=${e#"${e%%/*}"}; break; }
  done </etc/passwd
}
"""
"""Shell function that sets `h` to the home directory of the user that its parameter names, empty if it is unknown."""

# The script's variables have short names, because it travels with every upload:
#   i   not empty: signals are ignored from outside, see the module's docstring
#   d   destination; `g` the existing file, if it can only be overwritten, and `v` why the rename is impossible
#   p,f directory and name of the destination; t the temporary name; made: the temporary file is ours
#   old the last directory that existed before `mkdir -p`: `clean` removes the ones below it. `-`: none was made
#   h   where a relative path or `~` begins; later the block size of `dd`
#   r,q,z,c  the abilities R, D, Z and C of the mark `r`; y decodes Base64, u unpacks gzip
# `clean` empties a temporary file that it cannot remove, but never through a link or into anything but a regular file:
# something else may have taken its place.
# `fail` joins the lines of a tool's message, and drops a message of 2,000 characters or more: a mark has a limit, too.
# `take` reads SIZE bytes of a block and drops PADDING bytes. It writes to descriptor 5, so that its own errors can be
# caught.
# `sums` sets LC_ALL=C for bash, whose `read` loses a byte 1 behind an incomplete UTF-8 character.
# chmod goes through descriptor 7, which is the file itself whatever its name leads to meanwhile. `mv -T` never moves
# the file into a directory of that name; an mv without the option `-T` is called again without it.
_RECEIVER = (
    r"""
has() { command -v "$1" >/dev/null; }
pour() {
  if has cat; then
    cat <"$1" >"$2"
  elif has dd; then
    dd bs=65536 <"$1" >"$2"
  else
    cp "$1" "$2"
  fi
}
deaf() { [ "$i" ] || trap '' HUP INT TERM; }
clean() {
  deaf
  if [ "$made" ]; then
    rm -f "./$t" || { [ -f "./$t" ] && [ ! -L "./$t" ] && : >"./$t"; }
  fi
  cd /
  [ "$old" = - ] || while [ "$p" != "$old" ] && rmdir "$p"; do p=${p%/*}; done
}
fail() {
  clean
  [ ${#2} -lt 2000 ] || set -- "$1"
  IFS=$j
  set -- "$1" $2
  IFS=' '
  m "f$*"
  exit 1
}
leave() {
  clean
  exit 1
}
create() {
  set -C
  command exec 7>"./$t"
  w=$?
  set +C
  [ $w = 0 ] && made=1
}
why() { e=$( (set -C; : >"./$t") 2>&1); }
spot() {
  umask 077
  for p in "$TMPDIR" /tmp /var/tmp /dev/shm "$HOME" "$h"; do
    case $p in /*) ;; *) continue ;; esac
    case $p in *[!A-Za-z0-9/._-]*) continue ;; esac
    s=$p
    e=$(cd -P "$p" 2>&1) && cd -P "$p" && { create && return || why; }
  done
  return 1
}
"""
    + HOME
    + r"""
sums() {
  case $c in
  openssl) e=$(openssl dgst -sha256 -r <"$1") ;;
  cat) m '<'; cat <"$1" >&3; m '>'; e=- ;;
  read)
    m '<'
    LC_ALL=C
    { while IFS= read -r w; do say "$w$j"; done; say "$w"; } <"$1" >&3
    m '>'
    e=-
    ;;
  *) e=$($c <"$1") ;;
  esac
  l=$(wc -c <"$1")
  set -- ${l:--} $e
  m "v$1 $2"
  IFS= read -r w && [ "$w" = c ]
}
restore() {
  deaf
  pour "./$t.old" "$g" && rm -f "./$t.old" && return
  s=$PWD/$t.old
  fail b "$s"
}
overwrite() {
  s=$e
  [ -f "$g" ] && [ ! -L "$g" ] && [ -w "$g" ] || return
  has cat || has dd || has cp || return
  e=$( (umask 077; set -C; : >"./$t.old") 2>&1) && e=$(pour "$g" "./$t.old" 2>&1) || {
    rm -f "./$t.old"
    fail o "$e"
  }
  e=$(pour "./$t" "$g" 2>&1) || {
    l=$e
    restore
    fail w "$l"
  }
  IFS=$j
  set -- $s
  IFS=' '
  m "i$*"
  sums "$g" || { restore; leave; }
  rm -f "./$t.old" "./$t"
}
made= old=- n=- y= e= u= h=$PWD g=
case $d in
'') ;;
'~'*)
  l=${d%%/*}
  home "${l#?}"
  case $h in '' | *"$j"*) fail h ;; esac
  case $d in */*) d=${h%/}/${d#*/} ;; *) d=$h ;; esac
  ;;
/*) ;;
*)
  case $h in *"$j"*) fail p ;; esac
  d=${h%/}/$d
  ;;
esac
if [ "$d" ]; then
  case $d in
  */) d=$d$name n=n ;;
  *) [ ! -d "$d" ] || d=$d/$name n=n ;;
  esac
  if [ -L "$d" ]; then
    l=$(readlink -f "$d") && [ "$l" ] || fail k
    d=$l
  fi
  [ ! -d "$d" ] || fail d
  [ ! -e "$d" ] || [ -f "$d" ] || fail n
  p=${d%/*} f=${d##*/}
  if [ ! -d "${p:-/}" ]; then
    old=$p
    until [ -d "${old:-/}" ]; do old=${old%/*}; done
    e=$(mkdir -p "$p" 2>&1) || fail m "$e"
  fi
  umask "$mask"
  if e=$(cd -P "${p:-/}" 2>&1) && cd -P "${p:-/}"; then
    has mv || [ -e "./$f" ] || t=$f
    create || why
  fi
  if [ -z "$made" ]; then
    l=$e
    [ -f "$d" ] && [ -w "$d" ] && spot || fail w "$l"
    g=$d v=$l
  fi
else
  spot || fail t "$e"
  d=$s/$t
fi
l=
r=l q=p z=- c=
if stty raw -echo icrnl; then
  if [ "$(echo ab | dd bs=1 count=1)" = a ]; then
    r=d
  elif [ "$(echo abc | { head -c 1 >/dev/null; head -c 2; })" = bc ]; then
    r=e
  elif [ "$(echo abc | head -c 2)" = ab ]; then
    r=h
  fi
fi
if [ $r = l ]; then
  if [ "$(echo QQ== | base64 -d)" = A ]; then
    q=b y='base64 -d'
  elif [ "$(echo QQ== | openssl base64 -d)" = A ]; then
    q=o y='openssl base64 -d'
  fi
fi
for u in 'gzip -dc' 'gunzip -c' zcat; do has ${u%% *} && z=z && break; done
for l in sha256sum sha512sum openssl sha1sum md5sum cksum cat; do has $l && c=$l && break; done
m "r$r $q $z ${c:=read} $n $h"
IFS=' ' read -r r z
h=
case $r in
d)
  [ "$(echo ab | dd bs=1 count=1 iflag=fullblock)" = a ] && h=full
  take() {
    if [ $h = full ]; then
      e=$(dd bs=$1 count=1 iflag=fullblock 2>&1 >&5) || return
      [ $2 = 0 ] || dd bs=$2 count=1 iflag=fullblock >/dev/null
      return
    fi
    e=$(dd ibs=$h obs=4096 count=$(($1 / h)) 2>&1 >&5) || return
    [ $(($1 % h)) = 0 ] || e=$(dd bs=1 count=$(($1 % h)) 2>&1 >&5) || return
    [ $2 = 0 ] || dd bs=1 count=$2 >/dev/null
  }
  ;;
e) take() { e=$(head -c $1 2>&1 >&5) && { [ $2 = 0 ] || head -c $2 >/dev/null; }; } ;;
h) take() { e=$({ head -c $(($1 + $2)) | head -c $1; } 2>&1 >&5); } ;;
l) ;;
*) leave ;;
esac
if [ $r = l ]; then
  receive() {
    while IFS= read -r w; do
      case $w in
      bb*) for w in ${w#bb}; do echo "$w"; done ;;
      bp*) o "${w#bp}" ;;
      e) return ;;
      *) return 1 ;;
      esac || return
      m k || return
    done
    return 1
  }
else
  stty raw -echo -icrnl || fail s
  [ $r$h != d ] || { stty min 64 time 0 && h=64; } || h=1
  receive() {
    while :; do
      if [ $r = h ]; then
        IFS= read -r w || return
        m k || return
      else
        w=$(take 128 0 5>&1) || return
      fi
      set -- $w
      case $1 in
      b) take $2 $3 || { say "$e${j}status $?" >&2; return 1; } ;;
      e) return ;;
      *) return 1 ;;
      esac
      m k || return
    done
  }
fi
m g
[ "$z" = z ] || u=
e=$(
  {
    if [ "$y" ] && [ "$u" ]; then
      receive 5>&1 | $y | $u
    elif [ "$y$u" ]; then
      receive 5>&1 | $y$u
    else
      receive 5>&1
    fi
  } 2>&1 >&7
) || fail w "$e"
stty raw -echo icrnl
[ -f "./$t" ] && [ ! -L "./$t" ] || fail l
if has chmod; then
  chmod "$mode" /proc/self/fd/7 7>&7 || e=$(chmod "$mode" "./$t" 2>&1) || fail w "$e"
fi
exec 7>&-
sums "./$t" || leave
deaf
if [ -z "$f" ] || [ "$t" = "$f" ]; then
  :
elif [ "$g" ]; then
  e=$v
  overwrite || fail v "$s"
else
  [ -f "./$t" ] && [ ! -L "./$t" ] && [ ! -L "./$f" ] && [ ! -d "./$f" ] || fail l
  e=$(mv -fT "./$t" "./$f" 2>&1) || case $e in
  *option*) e=$(mv -f "./$t" "./$f" 2>&1) ;;
  *) false ;;
  esac || { g=./$f; overwrite || fail v "$s"; }
fi
[ "$f" ] || say "$d$j" >&6
"""
)


def minified(script: str) -> str:
    """Return a script without its indentation and its empty lines, which would travel with it."""
    return "\n".join(stripped for line in script.splitlines() if (stripped := line.strip()))


BOOTSTRAP = minified(_BOOTSTRAP)
"""Script that reads the receiver from its stdin and runs it; holds no secret, so it may be an argument."""

_SEPARATOR = "\x02"
"""Separates the lines of the script on its way. No parameter holds it unescaped."""


class Receiver(NamedTuple):
    """A receiver's script, ready to be sent."""

    mark: bytes
    """The beginning of each of its marks in the output."""
    lines: tuple[bytes, ...]
    """Lines for its bootstrap, to be sent in order. It acknowledges each but the last."""


def for_destination(destination: str, name: str, mode: int) -> Receiver:
    """Return the script that receives a file at `destination`, or as `name` in it if it is a directory.

    `mode` holds the file's permissions. In an image without chmod the file gets those that a umask can give.
    """
    return _receiver(d=destination, name=name, f="", mode=f"{mode:o}", mask=f"{0o777 & ~mode:03o}")


def for_script() -> Receiver:
    """Return the script that receives a file into a directory for temporary files, and prints its path.

    Only the user may use the file (mode 700). The path holds no character that has a meaning for a shell.
    """
    return _receiver(d="", f="", mode="700")


def _receiver(**parameters: str) -> Receiver:
    word = shell_wrapper.new_nonce()
    half = len(word) // 2
    parameters["t"] = f".ecs-exec-{secrets.token_hex(8)}"
    script = [*(assignment(name, value) for name, value in parameters.items()), minified(_RECEIVER)]
    text = "\n".join(script).replace("\n", _SEPARATOR).encode()
    first = f"{word[:half]} {word[half:]} {_SEPARATOR}\n".encode()
    pieces = (
        b"r" + text[start : start + shell_wrapper.LINE] + b"\n" for start in range(0, len(text), shell_wrapper.LINE)
    )
    return Receiver(b"\x1e" + word.encode(), (first, *pieces, f".{len(text)}\n".encode()))


def assignment(name: str, value: str) -> str:
    """Return the shell assignment of any bytes to a variable.

    A value that is not printable ASCII is escaped, and decoded in the container. The dot at its end keeps the command
    substitution from removing newlines there.
    """
    if value.isascii() and value.isprintable():
        return f"{name}={shell_wrapper.single_quoted(value)}"
    encoded = shell_wrapper.encode(os.fsencode(value)).decode()
    return f"{name}=$(o {shell_wrapper.single_quoted(encoded + '.')}) {name}=${{{name}%.}}"
