r"""The shell script that sends files out of the container. `reception` is its other end.

It runs as the session's command, so user, working directory, abort and timeout work as for a command. It writes marks
and data to stdout; stderr comes apart. It needs a shell, and a program that reads and encodes files: it uses what the
image has. The marks:

    r ENC SUM GLOB         ready. ENC: the encoding of data and names, see below. SUM: the tool for checksums, `-` if
                           there is none. GLOB: `g` if the source is a pattern that matched files, else `-`
    p MODE TIME SIZE PACK NAME
                           a file follows. MODE: octal, or as `ls` prints it, `-` if unknown. TIME: seconds since 1970,
                           SIZE: bytes, `-` if unknown. PACK: how the data are compressed: `gzip`, `xz` or `-`; with
                           `:e` behind it, the compressed data come escaped and not in ENC. NAME: the path
    t MODE TIME PACK NAME  a directory follows, as a tar archive. With the PACK `walk` it follows file by file:
    d MODE TIME NAME           a directory in it
    l NAME TARGET              a symbolic link in it; a tab separates the two
    u MODE TIME SIZE PACK NAME a file in it
    c PACK                 the output of the command follows
    < and >                the bytes between these two are the content, encoded
    x STATUS               exit status of tar or of the command
    w TEXT                 a line that tar printed
    v SIZE READ SUM        the size now, the number of bytes that were read if the SIZE was not known before, and the
                           checksum of the bytes that were sent. SUM is `-` if the compressed data
                           hold one, `=` if the content was sent twice
    y                      the directory is complete
    s WHY NAME             something was left out, for the reason WHY
    e                      everything was sent
    b STATUS               `before` failed, with this exit status
    f CODE TEXT            the fetch failed; TEXT is a name or a tool's own message

ENC is `b` for Base64, `h` for hexadecimal digits, `t` for escaped lines, `r` for bytes as they are. A NAME begins with
`=` if it is plain, and with the letter of the encoding if it is encoded: a name may hold a newline. With `r` a name
that the agent would change is an error.

Escaped data hold EF 80 for the byte EF and EF 81 for 1E, because the agent changes the bytes EF BF BD, and a mark
begins with 1E. They are a quarter shorter than Base64. Escaped lines also hold EF 82 for a NUL, EF 83 for a newline and
EF 84 for 01, and a newline after some thousand bytes, which is not part of the data. Without cat, the wrapper's shell
passes on lines, and bash's `read` loses an 01 behind half of a character.

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
# `raw_` escapes compressed data, with GNU's sed or with perl; other seds cannot read a NUL. Data that are not
# compressed may have lines without an end, which sed would hold in memory.
# `text_` makes escaped lines without any tool. Only bash and busybox can read a NUL in this way, so it is tried first.
# `read` stops at a NUL, and after 4096 bytes. In dash such a substitution is an error, hence `eval`.
# `pack_` compresses stdin. busybox has an xz that cannot compress, so each program is tried.
# GLOBIGNORE (bash) and FIGNORE (ksh93) would leave out files, so they are unset after the last command of the job.
# `file_` sends the first bytes of a file, as many as there were at the beginning. A file of /proc has no size and is
# read to its end, and so is one of /sys, whose size is that of a page. No number is compared: mksh counts to 2^31 only.
# `stream_` sends what a program prints. It is read once only, so `tee` passes it on to the tool for checksums, through
# descriptor 9. ksh93's pipes are sockets, which cannot be opened in /proc; there the compressed data hold the checksum.
# `cut_` ends a program that prints without end. Compressed, its output is small, and would be noticed late.
# Status, checksum and tar's messages come on descriptor 7, the encoded data go out on 8. The status counts only if the
# programs that pass the data on have ended well (`o0`): one that is killed cuts the data off before the checksum.
# `walk_` is for images without tar. In a directory `d_`, it sends one file after the other. yash's patterns leave out
# names that are not UTF-8, without a word, so it fails there. A path that is too long for the kernel looks as if
# nothing were there: in some shells the name then stays, and in others the pattern. A length may count characters.
# `read_` prints how many bytes were read from descriptor 5. The programs that read it share its position.
_SCRIPT = (
    r"""
has() { command -v "$1" >/dev/null 2>&1; }
m_() { say_ "$x_$w_$1$j_"; }
fail_() {
  [ ${#2} -lt 2000 ] || set -- "$1"
  set -f
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
  t) text_ ;;
  r) cat_ ;;
  esac
}
text_() (
  LC_ALL=C
  set -- "$(o '\0357')" "$(o '\0200')" "$(o '\0201')" "$(o '\0202')" "$(o '\0203')" "$(o '\0204')" "$(o '\0001')"
  p_=y
  while [ $p_ ]; do
    IFS= read -r -d '' -n 4096 l_ || p_=
    case ${#l_}$p_ in 4096y) i_= ;; *y) i_=$1$4 ;; *) i_= ;; esac
    eval 'l_=${l_//$1/$1$2} l_=${l_//$x_/$1$3} l_=${l_//$j_/$1$5} l_=${l_//$7/$1$6}'
    say_ "$l_$i_$j_"
  done
)
name_() {
  case $1 in
  *[!A-Za-z0-9/._,:@%+=-]*)
    n_=
    case $k_ in
    r)
      case $1 in *"$j_"*) fail_ j ;; *"$(o '\0357')"*) fail_ n "$1" ;; esac
      n_=r$1
      ;;
    t) n_=t$(say_ "$1" | text_) ;;
    *)
      for l_ in $(say_ "$1" | enc_); do n_=$n_$l_; done
      n_=$k_$n_
      ;;
    esac
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
pack_() {
  case $1 in
  gzip) GZIP= gzip -c ;;
  xz) XZ_DEFAULTS= XZ_OPT= xz -1 -T1 -c ;;
  r) cat_ ;;
  esac
}
raw_() {
  case $r_ in
  sed) LC_ALL=C sed "s/$1/$1$2/g;s/$x_/$1$3/g" ;;
  perl) perl -pe 's/\xef/\xef\x80/g;s/\x1e/\xef\x81/g' ;;
  *) enc_ ;;
  esac
}
packed_() {
  case $1 in
  *-) enc_ ;;
  *) pack_ ${1%:e} | raw_ "$(o '\0357')" "$(o '\0200')" "$(o '\0201')" ;;
  esac
}
send_() {
  m_ '<'
  packed_ $1
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
  [ -z "$r_" ] || return 0
  [ "$t_" ] && [ $c_ != - ] && [ "$hd_" ] && has wc || return 0
  case $1 in
  - | ???????*) set -- 262144 "$2" ;;
  esac
  l_=$(head -c $1 <"$2" | pack_ ${z_%:e} | wc -c)
  [ $((l_ + l_ / 32)) -lt $1 ]
}
read_() {
  while read -r l_ n_; do
    case $l_ in pos:) say_ "$n_" && return ;; esac
  done </proc/self/fdinfo/5
  say_ -
}
file_() {
  y_=$2
  stat_ "$1"
  set -- "$1" $i_
  case $1 in /sys/*) set -- "$1" "$2" "$3" - ;; esac
  q_=$4 p_=-
  case $4 in 0) q_=- ;; esac
  [ -z "$l2_" ] && [ "$hd_" ] || q_=-
  [ $z_ = - ] || { worth_ $q_ "$1" && p_=$z_; } 2>/dev/null
  [ $k_$c_$p_ != r-- ] || fail_ v f
  {
    m_ "$y_$2 $3 $4 $p_ $n_"
    m3_=-
    case $q_ in
    -)
      send_ $p_ <&5
      m3_=$(read_)
      [ -z "$l2_" ] || [ -z "$hd_" ] || q_=$m3_
      ;;
    *) head -c $q_ <&5 | send_ $p_ ;;
    esac
    if [ $c_$p_ = -- ]; then
      case $q_ in
      -) send_ - <&6 ;;
      *) head -c $q_ <&6 | send_ - ;;
      esac
      l_='='
    elif [ $c_ = - ]; then
      l_=-
    else
      case $q_ in
      -) l_=$(sum_ <&6) ;;
      *) l_=$(head -c $q_ <&6 | sum_) ;;
      esac
    fi
    stat_ "$1"
    set -- $i_ ${l_:-?}
    m_ "v$3 $m3_ $4"
  } 5<"$1" 6<"$1" || {
    [ -e "$1" ] || fail_ m "$1"
    fail_ r "$1"
  }
}
walk_() {
  [ -r "$1" ] && [ -x "$1" ] || fail_ r "$1"
  for f_ in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    name_ "${f_#"$d_"/}"
    if [ -L "$f_" ]; then
      link_ "$f_"
    elif [ -d "$f_" ]; then
      stat_ "$f_"
      set -- "$1" $i_
      m_ "d$2 $3 $n_"
      walk_ "$f_"
    elif [ -f "$f_" ]; then
      [ -r "$f_" ] || fail_ r "$f_"
      file_ "$f_" u
    elif [ -e "$f_" ]; then
      m_ "ss $n_"
    else
      case $f_ in
      "$1/*" | "$1/.[!.]*" | "$1/..?*") [ ${#1} -lt 3840 ] || fail_ p "$d_" ;;
      *) [ ${#f_} -lt 1000 ] || fail_ p "$d_" ;;
      esac
    fi
  done
}
link_() {
  set -- "$1" "$n_"
  l_=$(readlink "$1" 2>/dev/null && say_ .)
  case $k_$l_ in
  ?*. | [!r]*) ;;
  *) l_= ;;
  esac
  if [ -z "$l_" ]; then
    m_ "sl $n_"
    return
  fi
  name_ "${l_%??}"
  m_ "l$2$tab_$n_"
}
tar_() { LC_ALL=C TAR_OPTIONS= tar -C "$1" -cf - . 2>&7; }
cut_() {
  if [ "$hd_" ]; then
    head -c $mx_
  else
    cat_
  fi
}
stream_() {
  m_ '<'
  {
    l_=$(
      {
        if [ "$a_" ]; then
          { "$@"; echo "x$?" >&7; } | { cut_; echo "o$?" >&7; } |
            { { tee /proc/self/fd/9 9>&9; echo "o$?" >&7; } | packed_ $p_ >&8; } 9>&1 |
            { set -- $(sum_) && echo "=$1" >&7; }
        else
          { "$@"; echo "x$?" >&7; } | { cut_; echo "o$?" >&7; } | packed_ $p_ >&8
        fi
      } 7>&1
    )
  } 8>&1
  m_ '>'
  s_=- o_= i_=
  set -f
  IFS=$j_
  for l_ in $l_; do
    case $l_ in
    x*) i_=$l_ ;;
    o0) o_=o$o_ ;;
    =*) s_=${l_#=} ;;
    *) [ ${#l_} -gt 2000 ] || m_ "w$l_" ;;
    esac
  done
  set +f
  IFS=$h_
  case $o_$i_ in "${a_:+o}ox"*) m_ "$i_" ;; esac
  m_ "v- - $s_"
}
command_() { "$b_" -c "$v_" 7>&- 8>&-; }
tree_() {
  [ -r "$1" ] && [ -x "$1" ] || fail_ r "$1"
  stat_ "$1"
  set -- "$1" $i_
  p_=$z_
  if has tar && { [ "$a_" ] || [ $p_ != - ]; }; then
    m_ "t$2 $3 $p_ $n_"
    stream_ tar_ "$1"
  else
    [ -z "${YASH_VERSION-}" ] || fail_ t "$1"
    m_ "t$2 $3 walk $n_"
    d_=${1%/}
    walk_ "$d_"
  fi
  m_ y
}
item_() {
  case $1 in
  . | .. | */. | */..)
    l_=$(cd -P "$1" && say_ "$PWD.")
    set -- "${l_%.}"
    ;;
  esac
  name_ "$1"
  if [ -d "$1" ]; then
    tree_ "$1"
  elif [ -f "$1" ]; then
    [ -r "$1" ] || fail_ r "$1"
    file_ "$1" p
  elif [ $g_ = g ]; then
    m_ "ss $n_"
  else
    fail_ k "$1"
  fi
}
"""
    + HOME
    + r"""
if [ "$b4_" ]; then
  "$b_" -c "$b4_" >&2 || {
    m_ "b$?"
    exit
  }
fi
{
  k_=r e_=base64
  if [ "$(echo A | base64)" = QQo= ]; then
    k_=b
    has cat && [ "$(echo A | base64 -w0)" = QQo= ] && e_='base64 -w0'
  elif [ "$(echo A | openssl base64)" = QQo= ]; then
    k_=b e_='openssl base64'
  elif [ "$(echo A | od -An -v -tx1)" = ' 41 0a' ]; then
    k_=h
  else
    l_=$(o '\0357\0202\n\0357\0200\0357\0201\0357\0203\0357\0204')
    [ "$(o '\0000\0357\0036\n\0001b' | text_)" = "${l_}b" ] && k_=t
  fi
  hd_=
  [ "$(echo AB | head -c 1)" != A ] || hd_=y
  for c_ in sha256sum sha512sum openssl sha1sum md5sum cksum -; do
    [ $c_ != - ] && [ -z "$(echo A | sum_)" ] || break
  done
  a_=
  if [ $c_ != - ]; then
    [ "$({ echo A | tee /proc/self/fd/9 9>&9 >/dev/null; } 9>&1 | cat_)" = A ] && a_=y
  fi
  set -- $z_
  z_=-
  [ $k_ != r ] || has cat || set --
  for l_; do
    case $l_ in
    gzip) [ "$(echo A | pack_ gzip | gzip -dc)" = A ] ;;
    xz) [ "$(echo A | pack_ xz | xz -dc)" = A ] ;;
    esac && z_=$l_ && break
  done
  r_=
  if [ $z_ != - ] && [ $k_ = b ] && has cat; then
    for r_ in sed perl ''; do
      [ "$(o 'a\0000\0357\0036b' | packed_ r | base64)" = YQDvgO+BYg== ] && z_=$z_:e && break
    done
  fi
} 2>/dev/null
if [ "$v_" ]; then
  p_=$z_
  [ "$a_" ] || [ $p_ != - ] || fail_ v c
  m_ "r$k_ $c_ -"
  m_ "c$p_"
  stream_ command_
  m_ e
  exit
fi
unset GLOBIGNORE FIGNORE
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
  [ -e "$1" ] || [ -L "$1" ] || fail_ m "$s_"
  g_=g
fi
m_ "r$k_ $c_ $g_"
for f_; do
  case $g_$f_ in g. | g.. | g*/. | g*/..) continue ;; esac
  if [ -e "$f_" ]; then
    item_ "$f_"
  elif [ $g_ = g ] && [ -L "$f_" ]; then
    name_ "$f_"
    m_ "sd $n_"
  else
    fail_ m "$f_"
  fi
done
m_ e
"""
)

_HEAD = r"""
[ -z "${ZSH_VERSION-}" ] || emulate sh
set +aCefuvx
(set +o pipefail) 2>/dev/null && set +o pipefail
(set +B) 2>/dev/null && set +B
[ -z "${BASH_VERSION-}" ] || {
  trap - DEBUG ERR
  set +ET
  unalias -a
  shopt -u failglob nullglob dotglob nocaseglob
}
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
tab_=$(o '\0011')
h_=" $tab_$j_"
IFS=$h_
"""


class FetchScript(NamedTuple):
    """A script that sends files, ready to be run."""

    mark: bytes
    """The beginning of each of its marks in the output."""
    text: str


class Job(NamedTuple):
    """What a script does in the container."""

    source: str = ""
    """Path of a file or a directory, or a pattern."""
    command: str = ""
    """Instead of a source: a command whose output is sent."""
    before: str = ""
    """A command that runs first."""
    shell: str = "/bin/sh"
    """Runs the commands."""
    packs: str = ""
    """Ways to compress that the server can read, the best first, separated by spaces; empty: do not compress."""
    try_first: bool = True
    """A file is compressed only if that saves bytes at its beginning."""
    most: int = 1 << 30
    """Bytes after which an archive, or the output of a command, is cut off. The server must refuse that many."""
    follow: bool = False
    """A file is sent to its end, as far as it may have grown meanwhile."""


def script_for(job: Job) -> FetchScript:
    """Return the script for a job."""
    word = shell_wrapper.new_nonce()
    parameters = {
        "w_": word,
        "s_": job.source,
        "v_": job.command,
        "b4_": job.before,
        "b_": job.shell,
        "z_": job.packs,
        "mx_": str(job.most),
        "t_": "y" if job.try_first else "",
        "l2_": "y" if job.follow else "",
    }
    given = [assignment(name, value) for name, value in parameters.items()]
    return FetchScript(b"\x1e" + word.encode(), "\n".join([minified(_HEAD), *given, minified(_SCRIPT)]))
