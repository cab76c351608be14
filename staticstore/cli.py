"""The command line: what was asked, checked and handed to `commands`."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from . import __version__
from .commands import get as getting
from .commands import query as reading
from .commands.exits import ExitCode, ending_of
from .commands.messages import told
from .commands.options import (
    SECONDS,
    USER_CACHE,
    Forcible,
    Shared,
    allow_name_option,
    auth_options,
    cache_option,
    connecting_options,
    force_option,
    interval_option,
    output_options,
    parse_conditions,
    parse_fields,
    parse_file,
    parse_rate,
    parse_span,
    reaching_options,
)
from .site.guards import Force
from .site.packs import MOST_PACK_BYTES, PACK_BELOW
from .terminal import Output

if TYPE_CHECKING:
    from .client.cache_folder import CacheFolder

__all__ = ["cli", "run"]


def run(arguments: Sequence[str]) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str
        What stands on the command line after the program's name.

    Returns
    -------
    int
        The exit code, one of `ExitCode`.
    """
    # Known before all else, for what cannot be parsed is an error to be told, too.
    output = Output(as_json="--json" in arguments)
    with _steady_streams(as_json=output.as_json), told(output):
        try:
            return _run(arguments, output)
        except BaseException as error:
            ending = ending_of(error)
            if ending is None:
                raise
            if ending.message is not None:
                with contextlib.suppress(OSError):  # nobody listens there either
                    output.error(ending)
            return ending.code


def _run(arguments: Sequence[str], output: Output) -> int:
    code: int = ExitCode.DONE
    try:
        with cli.make_context("staticstore", list(arguments), obj=Shared(output)) as context:
            cli.invoke(context)
    except click.exceptions.Exit as done:
        code = done.exit_code
    sys.stdout.flush()
    return code


@contextlib.contextmanager
def _steady_streams(*, as_json: bool) -> Iterator[None]:
    """Let no character and no closed stream end a command in a traceback."""
    # A stream that was closed is None, and its number would go to the next file opened.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 -- open to the end
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in sys.stdout, sys.stderr:
        if isinstance(stream, io.TextIOWrapper):
            encoding = "utf-8" if as_json else stream.encoding
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        except OSError:
            # Said already, and not to be said again by the interpreter at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _examples(*lines: str) -> str:
    # The control character keeps click from filling the lines up.
    return "\n  ".join(("\b\nExamples:", *lines))


class _InOrder(click.Group):
    """Lists its commands in the order in which they stand here."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=_InOrder,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="staticstore %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Publish a folder as a site on any static web host, and read such sites.

    A site is a folder data/ with files, and an index.json that says what they are. URL may be
    that of a site's root, or a local folder.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(ExitCode.USAGE)


@cli.command(
    cls=Forcible,
    epilog=_examples(
        "staticstore publish my-site",
        "staticstore publish my-site --dry-run",
        "staticstore publish my-site --metadata fields.csv",
        "staticstore publish my-site --pack",
        "staticstore publish my-site --browse",
        "staticstore publish my-site --watch",
        "staticstore publish my-site --after https://data.example.org/site/",
        "staticstore publish my-site --check",
    ),
)
@click.argument("site")
@click.option("--metadata", metavar="FILE", help="What is said of the values: JSON, TOML or CSV.")
@click.option("--pack", is_flag=True, help="Copy small values into packs, to be read at once.")
@click.option(
    "--pack-below",
    metavar="BYTES",
    type=click.IntRange(1, MOST_PACK_BYTES),
    help=f"Which values are small: those of fewer bytes, {PACK_BELOW} if nothing is said.",
)
@click.option("--browse", is_flag=True, help="Write index.html, a page to look at the site.")
@click.option(
    "--after",
    metavar="URL|TARGET",
    help="Go on from the site that is published there, as in a fresh checkout.",
)
@force_option("shrink", "lineage")
@click.option("--check", is_flag=True, help="Write nothing; hold the data against the index.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would change.")
@click.option("--watch", is_flag=True, help="Go on, and publish again when files have changed.")
@click.option(
    "--rescan",
    metavar="SECONDS",
    type=SECONDS,
    help="With --watch: look at all files every so often, 600 if nothing is said.",
)
@reaching_options
@output_options
@click.pass_obj
def publish(
    shared: Shared,
    site: str,
    metadata: str | None,
    pack: bool,
    pack_below: int | None,
    browse: bool,
    after: str | None,
    force: Force,
    check: bool,
    dry_run: bool,
    watch: bool,
    rescan: float | None,
) -> None:
    """Make a site of a folder: write the index of what lies in its data/.

    What is said of the values, by key or pattern, is read from metadata.json, .toml or .csv
    in the folder, if it is there.
    """
    if check and (dry_run or pack or browse or metadata is not None):
        raise click.UsageError("--check takes no --browse, --dry-run, --metadata or --pack")
    if pack_below is not None and not pack:
        raise click.UsageError("--pack-below needs --pack")
    if check and (after is not None or force):
        raise click.UsageError("--check takes neither --after nor --force")
    if watch and (check or dry_run or after is not None):
        raise click.UsageError("--watch takes no --after, --check or --dry-run")
    if rescan is not None and not watch:
        raise click.UsageError("--rescan needs --watch")
    from .commands import publish as publishing
    from .site.watching import RESCAN

    pack_below = PACK_BELOW if pack_below is None else pack_below
    if check:
        publishing.check(site, shared.output)
        return
    if watch:
        publishing.publish_watching(
            site,
            shared.output,
            metadata=metadata,
            pack=pack,
            pack_below=pack_below,
            browse=browse,
            force=force,
            rescan=RESCAN if rescan is None else rescan,
        )
        return
    publishing.publish(
        site,
        shared.output,
        metadata=metadata,
        pack=pack,
        pack_below=pack_below,
        browse=browse,
        after=None if after is None else shared.published_at(after),
        force=force,
        dry_run=dry_run,
    )


@cli.command(
    epilog=_examples(
        "staticstore serve my-site",
        "staticstore serve my-site --host 0.0.0.0 --port 8080 --auth ali",
    )
)
@click.argument("site")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port; 0 takes one that is free.",
)
@auth_options
@output_options
@click.pass_obj
def serve(shared: Shared, site: str, host: str, port: int) -> None:
    """Serve a site from this machine, to look at it or in a trusted network."""
    from .commands import publish as publishing

    assert shared.auth != "netrc", "there is no such option"
    publishing.serve(site, shared.output, host=host, port=port, auth=shared.auth)


@cli.command(
    cls=Forcible,
    epilog=_examples(
        "staticstore push my-site s3://bucket/prefix",
        "staticstore push my-site s3://bucket --endpoint https://minio.example.org --dry-run",
        "staticstore push my-site s3://my-pages --active",
        "staticstore push my-site /mnt/web/site --delete",
    ),
)
@click.argument("site")
@click.argument("target")
@click.option("--delete", is_flag=True, help="Remove what the site has no more.")
@force_option("shrink", "lineage", "folder")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be uploaded.")
@allow_name_option
@click.option(
    "--active",
    is_flag=True,
    help="Let a bucket serve values as HTML, SVG, XML or scripts, which browsers run, and not "
    "as plain text; for values that you trust. Concerns what is uploaded now.",
)
@click.option(
    "--workers",
    metavar="NUMBER",
    type=click.IntRange(1, 256),
    default=8,
    show_default=True,
    help="How many files are uploaded at once.",
)
@click.option("--endpoint", metavar="URL", help="A host that speaks S3 or Azure's protocol.")
@click.option("--region", metavar="NAME", help="The region of an S3 bucket.")
@click.option("--anonymous", is_flag=True, help="Send no credentials.")
@output_options
@click.pass_obj
def push(
    shared: Shared,
    site: str,
    target: str,
    delete: bool,
    force: Force,
    dry_run: bool,
    allow_names: tuple[str, ...],
    active: bool,
    workers: int,
    endpoint: str | None,
    region: str | None,
    anonymous: bool,
) -> None:
    """Bring a published site to a host: upload what it lacks there.

    TARGET is s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or a folder.
    Credentials are found where the cloud's own tools find them: in the environment, or in
    their files.
    """
    from .commands import push as pushing

    pushing.push(
        site,
        target,
        shared.output,
        delete=delete,
        force=force,
        dry_run=dry_run,
        allow_names=allow_names,
        active=active,
        workers=workers,
        endpoint=endpoint,
        region=region,
        anonymous=anonymous,
    )


@cli.command(
    epilog=_examples(
        "staticstore info https://data.example.org/site/",
        "staticstore info https://data.example.org/site/ --auth-file ~/site.auth",
        "staticstore info my-site --json",
    )
)
@connecting_options
@output_options
@click.pass_obj
def info(shared: Shared, url: str) -> None:
    """Tell what a site is, and what is wrong with its index."""
    with shared.connected(url, lazy=True) as store:
        reading.info(store, shared.output)


@cli.command(
    epilog=_examples(
        "staticstore ls https://data.example.org/site/",
        "staticstore ls https://data.example.org/site/ 'terrain/*.tif' -l",
    )
)
@connecting_options
@click.argument("pattern", metavar="[GLOB]", required=False)
@click.option("-l", "--long", is_flag=True, help="Show size, time and type as well.")
@output_options
@click.pass_obj
def ls(shared: Shared, url: str, pattern: str | None, long: bool) -> None:
    """List the keys of a site, all or those that match a shell pattern.

    A pattern is held against the whole key, and * matches slashes too.
    """
    with shared.connected(url) as store:
        reading.ls(store, shared.output, pattern=pattern, long=long)


@cli.command(
    epilog=_examples(
        "staticstore query https://data.example.org/site/ type=raster --select title,size",
        "staticstore query https://data.example.org/site/ type=raster bands=3 --json",
    )
)
@connecting_options
@click.argument("where", metavar="[FIELD=VALUE]...", nargs=-1, callback=parse_conditions)
@click.option(
    "--select",
    metavar="FIELD,...",
    multiple=True,
    callback=parse_fields,
    help="Show these fields only.",
)
@output_options
@click.pass_obj
def query(shared: Shared, url: str, where: dict[str, Any], select: list[str] | None) -> None:
    """Find values by their metadata: those whose fields equal all that is given.

    A VALUE that is JSON is what it says: bands=3 is a number, tags='["water"]' a list, and
    date=null finds what has no date. Any other is a text; of what looks like JSON,
    code='"007"' makes one.
    """
    with shared.connected(url) as store:
        reading.query(store, shared.output, where=where, select=select)


@cli.command(
    epilog=_examples(
        "staticstore get https://data.example.org/site/ terrain/dem.tif -o dem.tif",
        "staticstore get https://data.example.org/site/ stations.csv | head",
        "staticstore get https://data.example.org/site/ terrain/dem.tif --range -8: | xxd",
    )
)
@connecting_options
@click.argument("key")
@click.option(
    "-o",
    "file",
    metavar="FILE",
    callback=parse_file,
    help="Write to this file; - is the standard output.",
)
@click.option(
    "--range",
    "span",
    metavar="START:END",
    callback=parse_span,
    help="Only these bytes, as in a slice; negative numbers count from the end.",
)
@output_options
@click.pass_obj
def get(shared: Shared, url: str, key: str, file: str | None, span: getting.Span | None) -> None:
    """Read a value, or some bytes of it.

    A whole value is held against its digest: the file is written whole and right or not at all.
    """
    if shared.output.as_json and file in (None, "-"):
        raise click.UsageError("--json needs -o FILE, for the value would stand among the JSON")
    with shared.connected(url, lazy=True) as store:
        getting.get(store, shared.output, key, file=file, span=span)


@cli.command(
    epilog=_examples(
        "staticstore watch https://data.example.org/site/",
        "staticstore watch https://data.example.org/site/ --interval 5 --timeout 60 --json",
    )
)
@connecting_options
@interval_option("How long to wait between two looks at the site.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=SECONDS,
    help="End when nothing has changed for so long; by default never.",
)
@output_options
@click.pass_obj
def watch(shared: Shared, url: str, interval: float, timeout: float | None) -> None:
    """Show what is set, updated and deleted, as it happens."""
    with shared.connected(url, poll_interval=interval) as store:
        reading.watch(store, shared.output, timeout=timeout)


@cli.command(
    cls=Forcible,
    epilog=_examples(
        "staticstore mirror https://data.example.org/site/ my-copy",
        "staticstore mirror https://data.example.org/site/ my-copy --delete --watch",
        "staticstore mirror https://data.example.org/site/ my-part 'terrain/*' --select bands=1",
    ),
)
@connecting_options
@click.argument("directory", metavar="DIR")
@click.argument("globs", metavar="[GLOB]...", nargs=-1)
@click.option(
    "--select",
    "where",
    metavar="FIELD=VALUE",
    multiple=True,
    callback=parse_conditions,
    help="Copy only what has this; may be given more than once.",
)
@click.option("--delete", is_flag=True, help="Remove files that the index does not name.")
@force_option("shrink", "part", "folder")
@click.option("--verify", is_flag=True, help="Hash all that stands there, also what is known.")
@allow_name_option
@click.option("--watch", "watches", is_flag=True, help="Go on, and copy what changes.")
@interval_option("With --watch: how long to wait between two looks at the site.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="How many large values to fetch at once.",
)
@click.option(
    "--limit-rate",
    metavar="BYTES",
    callback=parse_rate,
    help="Receive no faster than so many bytes a second in all, such as 500k or 2M.",
)
@output_options
@click.pass_obj
def mirror(
    shared: Shared,
    url: str,
    directory: str,
    globs: tuple[str, ...],
    where: dict[str, Any],
    delete: bool,
    force: Force,
    verify: bool,
    allow_names: tuple[str, ...],
    watches: bool,
    interval: float,
    workers: int,
    limit_rate: float | None,
) -> None:
    """Copy a site, or a part of it, verified, into a folder that is then a site again.

    What stands there and is right is not fetched again. A whole copy and the site may be used in
    each other's place; a part, by shell patterns or --select, is a site of its own.
    """
    from .commands import mirror as mirroring

    wanted = mirroring.Wanted(
        directory=directory,
        globs=globs,
        where=where,
        workers=workers,
        delete=delete,
        force=force,
        verify=verify,
        limit_rate=limit_rate,
        allow_names=allow_names,
    )
    with shared.connected(
        url,
        poll_interval=interval if watches else 0.0,
        parts=mirroring.parts_in(directory),
    ) as store:
        if watches:
            mirroring.follow(store, shared.output, wanted, interval=interval)
        else:
            mirroring.mirror(store, shared.output, wanted)


@cli.group(
    cls=_InOrder,
    epilog=_examples(
        "staticstore cache info",
        "staticstore cache prune --all",
        "staticstore cache verify --cache my-cache",
    ),
)
def cache() -> None:
    """Look after the cache: what readers keep with --cache."""


@cache.command(
    "info",
    epilog=_examples("staticstore cache info", "staticstore cache info --cache my-cache --json"),
)
@cache_option(default=USER_CACHE)
@output_options
@click.pass_obj
def cache_info(shared: Shared) -> None:
    """Tell what the cache holds."""
    from .commands import cache as caching

    caching.info(_folder(shared), shared.output)


@cache.command(
    "prune",
    epilog=_examples(
        "staticstore cache prune --max-bytes 1000000000",
        "staticstore cache prune --all",
    ),
)
@cache_option(default=USER_CACHE)
@click.option(
    "--max-bytes",
    metavar="BYTES",
    type=click.IntRange(min=0),
    help="Remove what was not used for longest, beyond so many bytes of the disk.",
)
@click.option("--all", "everything", is_flag=True, help="Remove everything.")
@output_options
@click.pass_obj
def cache_prune(shared: Shared, max_bytes: int | None, everything: bool) -> None:
    """Remove what was not used for longest, or everything."""
    if everything == (max_bytes is not None):
        raise click.UsageError("give either --max-bytes or --all")
    from .commands import cache as caching

    caching.prune(_folder(shared), shared.output, max_bytes=max_bytes)


@cache.command("verify", epilog=_examples("staticstore cache verify"))
@cache_option(default=USER_CACHE)
@output_options
@click.pass_obj
def cache_verify(shared: Shared) -> None:
    """Read everything in the cache, and remove what is damaged."""
    from .commands import cache as caching

    caching.verify(_folder(shared), shared.output)


def _folder(shared: Shared) -> CacheFolder:
    assert shared.cache is not None, "the option has a default"
    return shared.cache


@cli.command(
    epilog=_examples(
        "staticstore demo",
    )
)
@output_options
@click.pass_obj
def demo(shared: Shared) -> None:
    """Show it all in a few seconds, with a site of this machine that is made for it."""
    from .demo import run_demo

    run_demo(shared.output)
