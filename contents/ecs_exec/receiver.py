r"""The shell script that receives a file in the container; `upload` is its other end.

It runs as the user that is to own the file, with the session's terminal as its stdin and as descriptor 3. It asks for
no tool: what the image has, it tells, and is told what to use. Its words are marks, see `output`, of the kind U:

    r R D Z C N DIR  ready. R: how it can read, `d` and `e` blocks of raw bytes, `h` the same but one at a time, `l`
                     lines. D: what lines may hold, `b` and `o` Base64, `p` octal escapes. Z: `z`, it can gunzip. C:
                     what makes checksums; `cat` or `read`: it can only send the file back. N: `n`, the destination is
                     a directory, and the name of the file was put behind it. DIR: where relative paths begin
    g                the terminal is as it has to be for what was chosen
    k                one block or line was taken
    <, >             what stands between is the file, sent back
    v SIZE SUM       what lies there now
    f CODE TEXT      it has given up, and removed what it had made; TEXT is a tool's own message

What it is told, a line each: R and Z as chosen; then `b SIZE PADDING` and a block of that many bytes, or for lines
`bb` and Base64 in words of 64, or `bp` and octal escapes; `e`: that was all; `c`: keep it. Anything else, and the end
of the terminal, makes it remove what it has and go. While raw bytes are read, a line is filled up to HEADER bytes.

A terminal's raw input is exact. `dd` may have to be told to read on (`iflag=fullblock`); where it cannot be, it reads
pieces of 64 bytes, and the terminal is told to gather as many (`min`; Linux gives no more at a time to a reader that
waits for more). `head -c` of some systems reads more than it is asked for, so that nothing behind that must be on its
way; the first line of a block is acknowledged then, too. bash's `read` does the same, so the others read that line like
the block. The file grows under a name of its own beside the destination and is renamed when it was found right.
"""

from __future__ import annotations

import secrets

from ecs_exec import shell

HEADER = 128
"""Bytes of a block's first line."""

_RECEIVER = r"""
[ -z "$ZSH_VERSION" ] || emulate sh
set -f
m() { printf '\036%s%sU%.900s\n' "$a" "$b" "$1" >&3; }
has() { command -v "$1" >/dev/null; }
clean() {
  [ -z "$made" ] || rm -f "$t" || : >"$t"
  [ "$old" = - ] || while [ "$p" != "$old" ] && rmdir "$p"; do p=${p%/*}; done
}
fail() {
  clean
  IFS='
'
  set -- "$1" $2
  IFS=' '
  m "f$*"
  exit 1
}
trap 'clean; exit 1' HUP INT TERM
made= old=- n=- y= e= h= u= l=
if [ "$d" ]; then
  case $d in /*) ;; *) d=${PWD%/}/$d ;; esac
  case $d in
  */) d=$d$name n=n ;;
  *) [ ! -d "$d" ] || d=$d/$name n=n ;;
  esac
  [ ! -L "$d" ] || l=$(readlink -f "$d") && d=${l:-$d}
  [ ! -d "$d" ] || fail d
  [ ! -e "$d" ] || [ -f "$d" ] || fail n
  p=${d%/*}
  if [ ! -d "${p:-/}" ]; then
    old=$p
    until [ -d "${old:-/}" ]; do old=${old%/*}; done
    e=$(mkdir -p "$p" 2>&1) || fail m "$e"
  fi
  has mv && t=$p/$t || t=$d
  umask "$mask"
  e=$( (set -C; : >"$t") 2>&1) || [ "$t" = "$d" ] || fail w "$e"
else
  umask 077
  for p in "$TMPDIR" /tmp /var/tmp /dev/shm "$HOME" "$PWD"; do
    case $p in /*) ;; *) continue ;; esac
    case $p in *[!A-Za-z0-9/._-]*) continue ;; esac
    e=$( (set -C; : >"$p/$t") 2>&1) && d=$p/$t && break
  done
  [ "$d" ] || fail t "$e"
  t=$d
fi
made=1 r=l q=p z=- c=
if stty raw -echo icrnl; then
  if [ "$(printf ab | dd bs=1 count=1)" = a ]; then
    r=d
  elif [ "$(printf abc | { head -c 1 >/dev/null; head -c 2; })" = bc ]; then
    r=e
  elif [ "$(printf abc | head -c 2)" = ab ]; then
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
m "r$r $q $z ${c:=read} $n $PWD"
IFS=' ' read -r r z
case $r in
d)
  [ "$(printf ab | dd bs=1 count=1 iflag=fullblock)" = a ] && h=full
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
*) clean; exit 1 ;;
esac
if [ $r = l ]; then
  receive() {
    while IFS= read -r w; do
      case $w in
      bb*) printf '%s\n' ${w#bb} ;;
      bp*) printf %b "${w#bp}" ;;
      e) return ;;
      *) return 1 ;;
      esac || return
      m k
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
        m k
      else
        w=$(take 128 0 5>&1) || return
      fi
      set -- $w
      case $1 in
      b) take $2 $3 || { printf '%s\nstatus %s\n' "$e" $? >&2; return 1; } ;;
      e) return ;;
      *) return 1 ;;
      esac
      m k
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
    fi >"$t"
  } 2>&1
) || fail w "$e"
stty raw -echo icrnl
if has chmod; then e=$(chmod "$mode" "$t" 2>&1) || fail w "$e"; fi
case $c in
openssl) e=$(openssl dgst -sha256 -r <"$t") ;;
cat) m '<'; cat <"$t" >&3; m '>'; e=- ;;
read)
  m '<'
  { while IFS= read -r w; do printf '%s\n' "$w"; done; printf %s "$w"; } <"$t" >&3
  m '>'
  e=-
  ;;
*) e=$($c <"$t") ;;
esac
l=$(wc -c <"$t")
set -- ${l:--} $e
m "v$1 $2"
IFS= read -r w
[ "$w" = c ] || { clean; exit 1; }
[ "$t" = "$d" ] || e=$(mv -f "$t" "$d" 2>&1) || fail v "$e"
printf '%s\n' "$d"
"""

_MINIFIED = "\n".join(line.strip() for line in _RECEIVER.strip().splitlines())


def for_destination(nonce: str, destination: str, name: str, mode: int) -> str:
    """Return the script that receives a file for a destination, or as `name` into it where that is a directory.

    `nonce` is the session's, see `shell.wrap`; `mode` is the file's, of which an image without chmod keeps what an
    umask can give.
    """
    return _script(nonce, d=destination, name=name, mode=f"{mode:o}", mask=f"{0o777 & ~mode:03o}")


def for_script(nonce: str) -> str:
    """Return the script that receives a file of its user's own into a folder for temporary files, and prints its path.

    The path holds no character that means something to a shell.
    """
    return _script(nonce, d="", mode="700")


def _script(nonce: str, **parameters: str) -> str:
    half = len(nonce) // 2
    variables = {"a": nonce[:half], "b": nonce[half:], "t": f".ecs-exec-{secrets.token_hex(8)}", **parameters}
    return "\n".join([*(f"{name}={shell.single_quoted(value)}" for name, value in variables.items()), _MINIFIED])
