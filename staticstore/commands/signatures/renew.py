"""``staticstore renew``: prolong the signatures of a site."""

from __future__ import annotations

import click

from ..options import CommonOptions, examples, output_options
from ..parameters import FOLDER
from .passphrases import key_folder, passphrase_option, sign_option, usage_of_passphrases

__all__ = ["renew"]


@click.command(
    short_help="Prolong the signatures of a site.",
    epilog=examples(
        "staticstore renew my-site --sign ~/keys",
        "staticstore renew my-site --sign ~/keys --passphrase-file ~/keys.pass --quiet",
    ),
)
@click.argument("site", type=FOLDER)
@sign_option("The folder of the keys, of which the renew key is enough.", is_needed=True)
@passphrase_option
@output_options
@click.pass_obj
def renew(
    common: CommonOptions, site: str, sign: tuple[str, ...], passphrase_file: str | None
) -> None:
    """Sign once more that a site is current, for two weeks; for timers.

    Readers refuse a signed site that nobody has signed for two weeks. This needs the renew key
    alone, and signs nothing but what is signed already.
    """
    output = common.output
    with usage_of_passphrases():
        keys = key_folder(sign, passphrase_file)
        from ...site.signatures.renewal import renew as renew_site  # slow to import

        report = renew_site(site, keys)
    output.record({"expires": f"{report.expires:%Y-%m-%dT%H:%M:%SZ}", "warnings": report.warnings})
    for warning in report.warnings:
        output.warning(warning)
    output.line(f"signed until {report.expires:%Y-%m-%d %H:%M} UTC")
