"""``staticstore serve``: serve a site from this machine until interrupted."""

from __future__ import annotations

from pathlib import Path

import click

from .credentials import NetrcFile
from .options import CommonOptions, auth_options, examples, output_options
from .parameters import FOLDER, data_option

__all__ = ["serve"]


@click.command(
    short_help="Serve a site from this machine.",
    epilog=examples(
        "staticstore serve my-site",
        "staticstore serve my-site --host 0.0.0.0 --port 8080 --auth ali",
    ),
)
@click.argument("site", type=FOLDER)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port; 0 takes a free one.",
)
@data_option("The folder of SITE with the values, if not the one that was published.")
@auth_options
@output_options
@click.pass_obj
def serve(common: CommonOptions, site: str, host: str, port: int, data: str | None) -> None:
    """Serve a site from this machine, to look at it or within a trusted network.

    Its address shows the page to browse the site, whether one was published or not.
    """
    from ..site.server import serve as serve_site  # slow to import

    output, auth = common.output, common.auth
    assert not isinstance(auth, str), "serve has neither --netrc nor --instance"
    if isinstance(auth, NetrcFile):
        raise click.UsageError("--auth-file must contain USER:PASSWORD here, and no netrc entries")
    with serve_site(site, host=host, port=port, auth=auth, data=data) as server:
        output.record({"url": server.url, "port": server.port})
        output.line(server.url)
        if not Path(site, "index.json").exists():
            output.warning("there is no index.json: run 'staticstore publish' to write it")
        output.note("look at it in a browser; serving until you press Ctrl-C")
        server.wait()
    # Only an interrupt ends the wait, and `wait` swallows it.
    raise KeyboardInterrupt
