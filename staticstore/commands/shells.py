"""Completion of command lines in shells: scripts and answers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    split_arg_string,
)

from .. import tuning
from ..errors import StoreError

if TYPE_CHECKING:
    from ..client.cache.folder import CacheFolder
    from ..index.snapshot import Index

__all__ = ["COMPLETE_VARIABLE", "SHELLS", "cached_roots", "completed", "known_index"]

#: The variable with which the script of a shell asks for completions.
COMPLETE_VARIABLE = "_STATICSTORE_COMPLETE"
_PROGRAM = "staticstore"

# Click's scripts start `env` with the words as its arguments, which all users of the machine can
# see; these set variables of the command alone.  Click's script for bash gets words that have been
# cut at ":" and "=", as in a URL; this one sends the line.  Those for bash and zsh know "open": no
# space follows, so that one can go on with the next level.
_BASH = r"""
%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            open) compopt -o nospace; COMPREPLY+=("$value") ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(_STATICSTORE_LINE="${COMP_LINE:0:COMP_POINT}" _STATICSTORE_BREAKS="$COMP_WORDBREAKS" \
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
""".lstrip()
_ZSH = r"""
#compdef %(prog_name)s

%(complete_func)s() {
    local -a plain open described response
    local type value help
    (( ! $+commands[%(prog_name)s] )) && return 1
    [[ $words[CURRENT] == --*=* ]] && compset -P 1 '*='
    response=("${(@f)$(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) \
        %(complete_var)s=zsh_complete %(prog_name)s 2>/dev/null)}")
    for type value help in ${response}; do
        case $type in
            dir) _path_files -/ ;;
            file) _path_files -f ;;
            open) open+=("$value") ;;
            plain) [[ $help == _ ]] && plain+=("$value") || described+=("$value:$help") ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described -U
    (( $#open )) && compadd -U -V unsorted -S '' -a open
    (( $#plain )) && compadd -U -V unsorted -a plain
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
""".lstrip()
_FISH = r"""
function %(complete_func)s
    set -l response (COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -t) \
        %(complete_var)s=fish_complete %(prog_name)s 2>/dev/null)
    for completion in $response
        set -l metadata (string split --max 1 "," $completion)
        switch $metadata[1]
            case dir
                __fish_complete_directories $metadata[2]
            case file
                __fish_complete_path $metadata[2]
            case plain
                echo $metadata[2]
        end
    end
end

complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
""".lstrip()


class BashCompletion(BashComplete):
    """Completion for bash, which knows where bash cuts words."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the last one, and the last one."""
        line = os.environ["_STATICSTORE_LINE"]
        words = split_arg_string(line)[1:]
        is_new = re.search(r"(?<!\\)\s$", line) is not None
        return (words, "") if is_new or not words else (words[:-1], words[-1])

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """Return completions of that part of the last word which bash replaces."""
        items = super().get_completions(args, incomplete)
        word = re.split(r"(?<!\\)\s", os.environ["_STATICSTORE_LINE"])[-1]
        if re.search(r"['\"]", word):  # bash cuts and quotes nothing there
            return items
        end = _start_of_part(word, os.environ["_STATICSTORE_BREAKS"])
        option = re.match("--[^=]*=|", incomplete)  # click completes what follows it
        assert option is not None
        for item in items:
            if item.type == "plain":
                item.value = _quoted((option[0] + item.value)[end:])
        return items

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Return the line for the script."""
        return f"{_kind(item)},{item.value}"


class ZshCompletion(ZshComplete):
    """Completion for zsh, without a space after a level of keys."""

    source_template = _ZSH

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Return the three lines for the script."""
        _, _, value_and_help = super().format_completion(item).partition("\n")
        return f"{_kind(item)}\n{value_and_help}"


class FishCompletion(FishComplete):
    """Completion for fish, which does not cut keys at commas."""

    source_template = _FISH


#: The class of each shell.
SHELLS: dict[str, type[ShellComplete]] = {
    "bash": BashCompletion,
    "zsh": ZshCompletion,
    "fish": FishCompletion,
}


def _kind(item: CompletionItem[str]) -> str:
    return "open" if item.is_open else item.type


def _start_of_part(word: str, breaks: str) -> int:
    # After how many characters of a word, unquoted, the part begins that bash replaces.
    start = 0
    for count, one in enumerate(re.finditer(r"\\?.", word, re.DOTALL), 1):
        if len(one[0]) == 1 and one[0] in breaks:  # an escaped one does not cut the word
            start = count
    return start


def _quoted(text: str) -> str:
    # Backslashes, not quotes: what several completions begin with is valid by itself.
    return re.sub(r"(^~|[^\w@%+=:,./~^-])", r"\\\1", text)


def completed(group: click.Command, instruction: str, obj: Any) -> str | None:
    """Return what the script of a shell has asked for, or None if that is unknown.

    Parameters
    ----------
    group : click.Command
        The command line.
    instruction : str
        The value of `COMPLETE_VARIABLE`: ``bash_complete`` or ``bash_source``, say.
    obj : object
        The object of click's context.
    """
    shell, _, what = instruction.partition("_")
    if shell not in SHELLS or what not in ("complete", "source"):
        return None
    answer = SHELLS[shell](group, {"obj": obj}, _PROGRAM, COMPLETE_VARIABLE)
    return answer.source() if what == "source" else answer.complete()


# -- what is completed from -----------------------------------------------------------------


def known_index(ctx: click.Context, url: str) -> Index | None:
    """Return the index of a site that is on this machine, in a folder or in the cache.

    None for any other site, and for an index that cannot be read or is too large to
    complete from.
    """
    from pathlib import Path

    from ..disk.file_system import read_regular
    from ..index.snapshot import Index
    from ..transport.http.root import Root

    try:
        root = Root(url, endpoint=ctx.obj.endpoint, region=ctx.obj.region)
        if root.folder is not None:
            path = Path(root.folder, "index.json")
            return Index.parse(read_regular(path, tuning.COMPLETED_INDEX_BYTES))
        folder = _cache(ctx)
        if folder is None:
            return None
        from ..client.cache.index import CachedIndex  # slow to import

        options = {"index_path": "index.json", "data_path": ctx.obj.data or "data/"}
        cached = CachedIndex(folder, root, {**options, "format": None, "trust": None})
        known = cached.read(tuning.COMPLETED_INDEX_BYTES)
        return None if known is None else known[0].index.checked()
    except (StoreError, OSError, ValueError):  # somebody is typing: say nothing
        return None


def cached_roots(ctx: click.Context) -> Iterable[str]:
    """Return the roots of the sites whose indexes are cached."""
    from ..client.cache.index import sites_in

    folder = _cache(ctx)
    return () if folder is None else (site.note.root for site in sites_in(folder))


def _cache(ctx: click.Context) -> CacheFolder | None:
    from ..client.cache.folder import CacheFolder

    named: CacheFolder | None = getattr(ctx.obj, "cache", None)  # by --cache or its variable
    try:
        return CacheFolder.of(True) if named is None else named
    except StoreError:  # there is no home folder
        return None
