"""``staticstore keys``: make and replace the keys with which sites are signed."""

from __future__ import annotations

from pathlib import Path

import click

from ..options import CommonOptions, examples, output_options
from ..parameters import FOLDER
from .passphrases import (
    key_folder,
    new_passphrases,
    passphrase_option,
    sign_option,
    usage_of_passphrases,
)
from .root_file import root_of_keys, show_root

__all__ = ["keys"]

_MOST_ROOT_KEYS = 16
_URI_HELP = (
    "that is elsewhere: a URI of securesystemslib, such as 'hsm:2?label=TOKEN' for a token, or "
    "URI,PUBLIC.pem, with the file of its public key, for all others."
)


@click.group(
    short_help="Make and replace the keys with which sites are signed.",
    epilog=examples(
        "staticstore keys new ~/keys",
        "staticstore keys rotate publish my-site --sign ~/keys",
    ),
)
def keys() -> None:
    """Make the keys with which sites are signed, and replace them."""


@keys.command(
    "new",
    short_help="Make keys.",
    epilog=examples(
        "staticstore keys new ~/keys",
        "staticstore keys new ~/keys --root-keys 1 --threshold 1",
        "staticstore keys new ~/keys --publish-key 'hsm:2?label=publisher'",
    ),
)
@click.argument("folder", type=FOLDER)
@click.option(
    "--root-keys",
    metavar="N",
    type=click.IntRange(1, _MOST_ROOT_KEYS),
    default=3,
    show_default=True,
    help="How many root keys to make; they are needed only to replace keys.",
)
@click.option(
    "--threshold",
    metavar="N",
    type=click.IntRange(1, _MOST_ROOT_KEYS),
    default=2,
    show_default=True,
    help="How many of them are needed; the others may be lost.",
)
@click.option(
    "--root-key", "root_uris", metavar="URI", multiple=True, help=f"Use a root key {_URI_HELP}"
)
@click.option("--publish-key", metavar="URI", help=f"Use a publish key {_URI_HELP}")
@click.option("--renew-key", metavar="URI", help=f"Use a renew key {_URI_HELP}")
@passphrase_option
@output_options
@click.pass_obj
def new(
    common: CommonOptions,
    folder: str,
    root_keys: int,
    threshold: int,
    root_uris: tuple[str, ...],
    publish_key: str | None,
    renew_key: str | None,
    passphrase_file: str | None,
) -> None:
    """Make the keys of a site in a new folder, outside of every site.

    Root keys replace keys, and are best kept offline; the publish key signs what is published;
    the renew key signs that it is current, and may live on a server. A passphrase locks them.
    """
    if threshold > root_keys:
        raise click.UsageError(
            f"--threshold {threshold} is more than --root-keys {root_keys}: give both"
        )
    if len(root_uris) > root_keys:
        raise click.UsageError(f"more than --root-keys {root_keys} are given as --root-key")
    with usage_of_passphrases():
        opened = key_folder([folder], passphrase_file)
        from ...site.signatures.new_keys import check_new_folder, make_keys  # slow to import

        check_new_folder(Path(folder))
        made = make_keys(
            folder,
            new_passphrases(passphrase_file, names=["the keys", "the renew key"]),
            root_keys=root_keys,
            threshold=threshold,
            root_uris=root_uris,
            publish_uri=publish_key,
            renew_uri=renew_key,
            ask=opened.ask,
        )
    root = root_of_keys(made)
    common.output.record({"root": root._asdict()})
    show_root(common.output, root)
    common.output.note(
        "keep the root keys offline, in several places: "
        f"{threshold} of {root_keys} are needed to replace a key"
    )


@keys.command(
    "rotate",
    short_help="Replace keys.",
    epilog=examples(
        "staticstore keys rotate publish my-site --sign ~/keys",
        "staticstore keys rotate root my-site --sign ~/keys --lost 3f2a",
        "staticstore keys rotate root my-site --sign ~/keys --same-keys",
    ),
)
@click.argument(
    "which", metavar="root|publish|renew", type=click.Choice(["root", "publish", "renew"])
)
@click.argument("site", type=FOLDER)
@sign_option("The folder of the keys, into which the new ones are written.", is_needed=True)
@click.option(
    "--lost",
    metavar="KEY",
    multiple=True,
    help="With root: replace this key alone, by the beginning of its id; may be repeated.",
)
@click.option("--same-keys", is_flag=True, help="With root: replace no key, but prolong the root.")
@click.option("--key", "uris", metavar="URI", multiple=True, help=f"Use a new key {_URI_HELP}")
@passphrase_option
@output_options
@click.pass_obj
def rotate(
    common: CommonOptions,
    which: str,
    site: str,
    sign: tuple[str, ...],
    lost: tuple[str, ...],
    same_keys: bool,
    uris: tuple[str, ...],
    passphrase_file: str | None,
) -> None:
    """Replace the root keys, the publish key or the renew key of a site.

    Enough root keys have to be there, in one of the folders. Readers follow by themselves: the
    root file that they have stays good.
    """
    if (lost or same_keys) and which != "root":
        raise click.UsageError("--lost and --same-keys are for root keys: keys rotate root")
    if same_keys and (lost or uris):
        raise click.UsageError("--same-keys replaces no key: give neither --lost nor --key")
    output = common.output
    with usage_of_passphrases():
        opened = key_folder(sign, passphrase_file)
        from ...site.signatures.rotation import rotate_keys  # slow to import

        report = rotate_keys(
            site,
            which,
            opened,
            lambda: new_passphrases(passphrase_file, names=[f"the new {which} key"]),
            lost=lost,
            same_keys=same_keys,
            uris=uris,
        )
    output.record({"root": report.root, "retired": report.retired, "signed": report.is_signed})
    output.line(f"wrote {report.root}")
    for name in report.retired:
        output.note(f"{name} no longer counts: remove it wherever it is")
    if which == "renew":
        output.note("copy the new renew key to where the site is renewed")
    if report.is_signed:
        output.note("upload the site; readers follow by themselves, with the root file they have")
    else:
        output.warning("the site has to be signed for the new keys: staticstore publish --sign")
