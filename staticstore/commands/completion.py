"""``staticstore completion``: print the script with which a shell completes."""

from __future__ import annotations

import click

from .options import CommonOptions, examples, output_options
from .shells import SHELLS, completed

__all__ = ["completion"]


@click.command(
    short_help="Print the script with which a shell completes.",
    epilog=examples(
        "staticstore completion bash",
        'eval "$(staticstore completion bash)"    # a line for ~/.bashrc',
        'eval "$(staticstore completion zsh)"     # for ~/.zshrc, after compinit',
        "staticstore completion fish > ~/.config/fish/completions/staticstore.fish",
    ),
)
@click.argument("shell", type=click.Choice(sorted(SHELLS)))
@output_options
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script with which a shell completes the command lines of staticstore.

    It completes commands, options and names of files; also keys, of a site that is a folder or
    in the cache (see --cache). No request is made.
    """
    output = context.ensure_object(CommonOptions).output
    script = completed(context.find_root().command, f"{shell}_source", None)
    output.record({"shell": shell, "script": script})
    if not output.as_json:
        click.echo(script, nl=False)
