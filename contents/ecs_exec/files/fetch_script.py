r"""The shell script that sends files out of the container. `reception` is its other end.

It runs as the session's command, so user, working directory, abort and timeout work as for a command. It writes marks
and data to stdout; stderr comes apart. It needs a shell, and a program that reads and encodes files: it uses what the
image has. The marks:

    r ENC SUM GLOB         ready. ENC: the encoding of data and names, see below. SUM: the tool for checksums, `-` if
                           there is none. GLOB: `g` if the source is a pattern that matched files, else `-`
    p MODE TIME SIZE PACK NAME
                           a file follows. MODE: octal, or as `ls` prints it, `-` if unknown. TIME: seconds since 1970,
                           SIZE: bytes, `-` if unknown. PACK: how the data are compressed: `gzip`, `xz` or `-`. NAME:
                           the path
    < and >                the bytes between these two are the content, encoded
    v SIZE SUM             the size now, and the checksum of the bytes that were sent. SUM is `-` if the compressed data
                           hold one, `=` if the content was sent twice
    s WHY NAME             something that the pattern matched was left out, for the reason WHY
    e                      everything was sent
    f CODE TEXT            the fetch failed; TEXT is a name or a tool's own message

ENC is `b` for Base64, `h` for hexadecimal digits, `r` for bytes as they are. A NAME begins with `=` if it is plain, and
with the letter of the encoding if it is encoded: a name may hold a newline.

The random word in each mark is in an argument of the shell, so other processes of the container can read it. They gain
nothing: whatever the container sends is checked here, whoever wrote it.

Two descriptors are opened before a file is read: one for the content, one for the checksum. So a log that is rotated
meanwhile stays the same file. The checksum is read after the content was sent: if the file was overwritten meanwhile,
the two differ.
"""

from __future__ import annotations

from typing import NamedTuple

from ecs_exec.command import shell_wrapper
from ecs_exec.files.receiver import HOME, assignment, minified

# Variables end with `_`, so that they do not hide the image's own from a command of the job.
# The image's environment may set options (SHELLOPTS, BASHOPTS), so the script resets them. ksh93 expands braces in
# values, hence `set +B`.
# `say_` prints text unchanged: mksh has no builtin printf.
# `enc_` encodes stdin. `base64 -w0` makes one long line, which the wrapper's `read` would have to hold without cat.
# `pack_` compresses stdin. busybox has an xz that cannot compress, so each program is tried.
# `part_` sends the first $1 bytes of stdin: what was there at the beginning. A file of /proc has no size and is read to
# its end. No number is compared: mksh counts to 2^31 only.
# `read_` prints how many bytes were read from descriptor 5. The programs that read it share its position.
_SCRIPT = (
    r"""
has() { command -v "$1" >/dev/null 2>&1; }
m_() { say_ "$x_$w_$1$j_"; }
fail_() {
  [ ${#2} -lt 2000 ] || set -- "$1"
  IFS=$j_
  set -- "$1" $2
  IFS=' '
  m_ "f$*"
  exit 1
}
cat_() {
  if has cat; then
    cat
  elif has dd; then
    dd bs=65536 2>/dev/null
  else
    while IFS= read -r l_; do say_ "$l_$j_"; done
    say_ "$l_"
  fi
}
enc_() {
  case $k_ in
  b) $e_ ;;
  h) od -An -v -tx1 ;;
  r) cat_ ;;
  esac
}
name_() {
  case $1 in
  *[!A-Za-z0-9/._,:@%+=-]*)
    n_=
    if [ $k_ = r ]; then
      case $1 in *"$j_"*) fail_ j ;; esac
      n_=r$1
    else
      for l_ in $(say_ "$1" | enc_); do n_=$n_$l_; done
      n_=$k_$n_
    fi
    ;;
  *) n_="=$1" ;;
  esac
}
sum_() {
  case $c_ in
  openssl) openssl dgst -sha256 -r ;;
  *) $c_ ;;
  esac
}
part_() {
  case $1 in
  -) cat_ ;;
  *) head -c $1 ;;
  esac
}
pack_() {
  case $1 in
  gzip) gzip -c ;;
  xz) xz -1 -T1 -c ;;
  -) cat_ ;;
  esac
}
send_() {
  m_ '<'
  case $1 in
  -) enc_ ;;
  *) pack_ $1 | enc_ ;;
  esac
  m_ '>'
}
stat_() {
  i_=$(stat -L -c '%a %Y %s' -- "$1" 2>/dev/null)
  set -- "$1" $i_
  [ $# != 4 ] || return 0
  i_=$(ls -ldnL -- "$1" 2>/dev/null)
  set -- $i_
  i_="${1:--} - ${5:--}"
}
worth_() {
  case $1 in
  - | ????*) ;;
  *) return 1 ;;
  esac
  [ "$t_" ] && [ $c_ != - ] && has head && has wc || return 0
  case $1 in
  - | ???????*) set -- 262144 "$2" ;;
  esac
  l_=$(head -c $1 <"$2" | pack_ $z_ | wc -c)
  [ $((l_ + l_ / 32)) -lt $1 ]
}
read_() {
  while read -r l_ n_; do
    case $l_ in pos:) say_ "$n_" && return ;; esac
  done </proc/self/fdinfo/5
  say_ -
}
file_() {
  stat_ "$1"
  set -- "$1" $i_
  q_=$4 p_=-
  case $4 in 0) q_=- ;; esac
  [ -z "$y_" ] && has head || q_=-
  [ $z_ = - ] || { worth_ $q_ "$1" && p_=$z_; } 2>/dev/null
  {
    m_ "p$2 $3 $4 $p_ $n_"
    part_ $q_ <&5 | send_ $p_
    [ -z "$y_" ] || q_=$(read_)
    if [ $c_ != - ]; then
      l_=$(part_ $q_ <&6 | sum_)
    elif [ $p_ != - ]; then
      l_=-
    else
      part_ $q_ <&6 | send_ -
      l_='='
    fi
    stat_ "$1"
    set -- $i_ ${l_:-?}
    m_ "v$3 $4"
  } 5<"$1" 6<"$1" || fail_ r "$1"
}
item_() {
  name_ "$1"
  if [ -d "$1" ]; then
    l_=d
  elif [ ! -f "$1" ]; then
    l_=k
  elif [ ! -r "$1" ]; then
    l_=r
  else
    file_ "$1"
    return
  fi
  [ $g_ = g ] && [ $l_ != r ] || fail_ $l_ "$1"
  m_ "s$l_ $n_"
}
"""
    + HOME
    + r"""
{
  k_=r e_=base64
  if [ "$(echo A | base64)" = QQo= ]; then
    k_=b
    has cat && [ "$(echo A | base64 -w0)" = QQo= ] && e_='base64 -w0'
  elif [ "$(echo A | openssl base64)" = QQo= ]; then
    k_=b e_='openssl base64'
  elif [ "$(echo A | od -An -v -tx1)" = ' 41 0a' ]; then
    k_=h
  fi
  c_=-
  for l_ in sha256sum sha512sum openssl sha1sum md5sum cksum; do has $l_ && c_=$l_ && break; done
  set -- $z_
  z_=-
  for l_; do
    case $l_ in
    gzip) [ "$(echo A | gzip -c | gzip -dc)" = A ] ;;
    xz) [ "$(echo A | xz -1 -T1 -c | xz -dc)" = A ] ;;
    esac && z_=$l_ && break
  done
} 2>/dev/null
case $s_ in
'~'*)
  l_=${s_%%/*}
  l_=$(home "${l_#?}" && say_ "$h")
  case $l_ in '' | *"$j_"*) fail_ h ;; esac
  case $s_ in */*) s_=${l_%/}/${s_#*/} ;; *) s_=$l_ ;; esac
  ;;
-*) s_=./$s_ ;;
esac
if [ -e "$s_" ] || [ -L "$s_" ]; then
  set -- "$s_"
  g_=-
else
  IFS=
  set -- $s_
  IFS=$h_
  [ -e "$1" ] || fail_ m "$s_"
  g_=g
fi
m_ "r$k_ $c_ $g_"
for f_; do
  [ -e "$f_" ] || fail_ m "$f_"
  item_ "$f_"
done
m_ e
"""
)

_HEAD = r"""
[ -z "${ZSH_VERSION-}" ] || emulate sh
set +aCefuvx
(set +o pipefail) 2>/dev/null && set +o pipefail
(set +B) 2>/dev/null && set +B
[ -z "${BASH_VERSION-}" ] || shopt -u failglob nullglob dotglob nocaseglob
j_='
'
[ "${PATH-}" ] || PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
case ${KSH_VERSION-} in
*MIRBSD* | *LEGACY*)
  say_() { print -rn -- "$1"; }
  o() { print -n -- "$1"; }
  ;;
*)
  say_() { printf %s "$1"; }
  o() { printf %b "$1"; }
  ;;
esac
x_=$(o '\0036')
h_=" $(o '\0011')$j_"
IFS=$h_
"""


class FetchScript(NamedTuple):
    """A script that sends files, ready to be run."""

    mark: bytes
    """The beginning of each of its marks in the output."""
    text: str


def for_source(source: str, packs: str, *, try_first: bool, follow: bool) -> FetchScript:
    """Return the script that sends the file at `source`, or the files that match this pattern.

    `packs` are the ways to compress that the server can read, the best first, separated by spaces; empty: do not
    compress. With `try_first` a file is compressed only if that saves bytes at its beginning. With `follow` a file is
    sent to its end, as far as it may have grown meanwhile.
    """
    word = shell_wrapper.new_nonce()
    parameters = {"w_": word, "s_": source, "z_": packs, "t_": "y" if try_first else "", "y_": "y" if follow else ""}
    given = [assignment(name, value) for name, value in parameters.items()]
    return FetchScript(b"\x1e" + word.encode(), "\n".join([minified(_HEAD), *given, minified(_SCRIPT)]))
