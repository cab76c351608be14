"""Python's tarfile reads from a value that is opened."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path

from tests.tools.conftest import published

VALUE = random.Random(1).randbytes(70_000)


def test_tarfile_reads_from_it(tmp_path: Path) -> None:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        member = tarfile.TarInfo("a.bin")
        member.size = 70_000
        archive.addfile(member, io.BytesIO(VALUE))
    with (
        published(tmp_path, "a.tgz", written.getvalue()) as store,
        store["a.tgz"].open() as file,
        tarfile.open(fileobj=file) as archive,
    ):
        read = archive.extractfile("a.bin")
        assert read is not None
        assert read.read() == VALUE
