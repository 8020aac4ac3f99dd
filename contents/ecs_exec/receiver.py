r"""The shell script that receives a file in the container; `upload` is its other end.

It runs as the user that is to own the file, with the session's terminal as its stdin and as descriptor 3, and prints
the path of what it received on descriptor 6: stdout belongs to the startup files of the user's shell, which may print.
It needs no tool. It reports which ones the image has, and is told which to use.

The script is not in any argument, as arguments can be read in /proc: `BOOTSTRAP`, which holds no secret, reads it from
the terminal. Its first line is the random word of the upload's own marks; only the receiver ever holds it. The marks:

    a                one line of the script was taken
    r R D Z C N DIR  ready. R: how it can read, `d` and `e` blocks of raw bytes, `h` the same but one at a time, `l`
                     lines. D: what lines may hold, `b` and `o` Base64, `p` octal escapes. Z: `z`, it can gunzip. C:
                     what makes checksums; `cat` or `read`: it can only send the file back. N: `n`, the destination is
                     a directory, and the name of the file was put behind it. DIR: where a relative path begins, or the
                     home that a `~` stands for
    g                the terminal is as it has to be for what was chosen
    k                one block or line was taken
    <, >             what stands between is the file, sent back
    v SIZE SUM       what lies there now
    i TEXT           it could not be renamed, for the reason TEXT, and was written into the existing file instead;
                     another `v` follows, of that file
    f CODE TEXT      it has given up, and removed what it had made; TEXT is a tool's own message

What it is told, a line each: R and Z as chosen; then `b SIZE PADDING` and a block of that many bytes, or for lines
`bb` and Base64 in words of 64, or `bp` and octal escapes; `e`: that was all; `c`: keep it, after each `v`. Anything
else, and the end of the terminal, makes it undo what it did and go. While raw bytes are read, a line is filled up to
HEADER bytes.

A terminal's raw input is exact. `dd` may have to be told to read on (`iflag=fullblock`); where it cannot be, it reads
pieces of 64 bytes, and the terminal is told to gather as many (`min`; Linux gives no more at a time to a reader that
waits for more). `head -c` of some systems reads more than it is asked for, so that nothing behind that must be on its
way; the first line of a block is acknowledged then, too. bash's `read` does the same, so the others read that line like
the block.

The directory of the destination is entered once (`cd -P`), and all is done from inside: the file grows under a name of
its own, which did not exist (`set -C`), through one descriptor, and is renamed when it was found right. Nothing of this
follows a link that somebody puts there meanwhile, apart from the moments that docs/scripts.md names.

Signals do nothing: the end of the input does. ksh93 that traps or ignores a signal itself does neither in a command
substitution: a hang-up killed it there, or it copied the file onto itself for ever. So it is started with signals
ignored, which the first parameter tells it, and leaves them alone. What removes, restores and renames is started with
signals ignored: a session's end sends more than one HUP. In yash a loop's variable ends with the function.
"""

from __future__ import annotations

import os
import secrets
from typing import NamedTuple

from ecs_exec import shell

HEADER = 128
"""Bytes of a block's first line."""

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
"""Reads the script and runs it. Its lines are joined by a character that the first line names."""

_RECEIVER = r"""
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
sums() {
  case $c in
  openssl) e=$(openssl dgst -sha256 -r <"$1") ;;
  cat) m '<'; cat <"$1" >&3; m '>'; e=- ;;
  read)
    m '<'
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


def _minified(script: str) -> str:
    return "\n".join(line.strip() for line in script.strip().splitlines())


BOOTSTRAP = _minified(_BOOTSTRAP)
"""What reads the receiver from its stdin and runs it; holds no secret."""

_SEPARATOR = "\x02"
"""Joins the lines of the script on its way: no parameter holds it unescaped."""


class Receiver(NamedTuple):
    """A receiver's script, ready to be sent."""

    mark: bytes
    """What begins each of its marks in the output."""
    lines: tuple[bytes, ...]
    """What its bootstrap reads, one line at a time; each but the last is acknowledged."""


def for_destination(destination: str, name: str, mode: int) -> Receiver:
    """Return the script that receives a file for a destination, or as `name` into it where that is a directory.

    `mode` is the file's, of which an image without chmod keeps what an umask can give.
    """
    return _receiver(d=destination, name=name, f="", mode=f"{mode:o}", mask=f"{0o777 & ~mode:03o}")


def for_script() -> Receiver:
    """Return the script that receives a file of its user's own into a folder for temporary files, and prints its path.

    The path holds no character that means something to a shell.
    """
    return _receiver(d="", f="", mode="700")


def _receiver(**parameters: str) -> Receiver:
    word = shell.new_nonce()
    half = len(word) // 2
    parameters["t"] = f".ecs-exec-{secrets.token_hex(8)}"
    script = [*(_assignment(name, value) for name, value in parameters.items()), _minified(_RECEIVER)]
    text = "\n".join(script).replace("\n", _SEPARATOR).encode()
    first = f"{word[:half]} {word[half:]} {_SEPARATOR}\n".encode()
    pieces = (b"r" + text[start : start + shell.LINE] + b"\n" for start in range(0, len(text), shell.LINE))
    return Receiver(b"\x1e" + word.encode(), (first, *pieces, f".{len(text)}\n".encode()))


def _assignment(name: str, value: str) -> str:
    """Set a variable to any bytes; what is no printable ASCII is decoded there."""
    if value.isascii() and value.isprintable():
        return f"{name}={shell.single_quoted(value)}"
    encoded = shell.encode(os.fsencode(value)).decode()
    return f"{name}=$(o {shell.single_quoted(encoded + '.')}) {name}=${{{name}%.}}"
