"""Write the sample site: the made-up island of Ilvar in maps, lines and measurements.

    python make_sample.py [FOLDER]

writes ``data/`` and ``metadata.toml`` into FOLDER, by default the one of this
script: the same bytes on every machine, with the standard library alone.
"""

import argparse
from pathlib import Path

from make.toml import toml
from make.values import COMMON, make_values

COMMENT = """\
Written by make_sample.py: change that, not this.
What is common to the keys of a pattern comes first, then what each key has of its own."""


def make_sample(folder: Path) -> None:
    """Write the data and the metadata of the sample site into a folder."""
    values = make_values()
    for value in values:
        path = folder / "data" / value.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value.content)
        print(f"{len(value.content):9,} bytes  {value.key}")
    own = {value.key: value.fields for value in values}
    (folder / "metadata.toml").write_bytes(toml(COMMENT, {**COMMON, **own}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Write data/ and metadata.toml of the sample site."
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    make_sample(parser.parse_args().folder)
