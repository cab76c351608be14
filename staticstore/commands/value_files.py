"""Values as files, which ``staticstore get`` writes: one, or many below a folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from .. import tuning
from ..errors import StoreError, TransportError, quoted
from ..index.fields import Content
from ..index.notebook import size_text
from .exits import CommandError, ending_of, partly_failed, system_reason
from .terminal import Output, count_text, printable

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..client.value import URLValue
    from ..transport.values.stream import ReadProgress

__all__ = ["FolderCopy", "ValuePart", "new_folders", "write_errors_of"]

_NOT_THERE = (404, 410)
_PATIENCE_SECONDS = 1.0  # with threads, after an interrupt


@dataclass(frozen=True)
class ValuePart:
    """A value, or the bytes of it that are asked for.

    Parameters
    ----------
    value : URLValue
        The value.
    part : slice or None
        Which bytes; None for all.
    """

    value: URLValue
    part: slice | None

    @property
    def is_verified(self) -> bool:
        """Whether the bytes are verified against a digest."""
        return self.part is None and self.value.sha256 is not None

    @property
    def size(self) -> int | None:
        """The number of bytes, if the index says it."""
        size = Content.of(self.value.metadata).size
        return size if size is None or self.part is None else len(range(size)[self.part])

    def pieces(self, progress: ReadProgress | None) -> Iterator[bytes]:
        """Iterate over the bytes, about 1 MiB at a time."""
        if self.part is None:
            yield from self.value.iterdata(tuning.VALUE_PIECE_BYTES, progress)
            return
        done = 0
        with self.value.range(self.part.start, self.part.stop) as stream:
            while piece := stream.read(tuning.VALUE_PIECE_BYTES):
                done += len(piece)
                if progress is not None:
                    progress(done, self.size)
                yield piece

    def write(self, path: Path, progress: ReadProgress | None) -> int:
        """Write the bytes to a file; return their number.

        Raises
        ------
        CommandError
            The file cannot be written.
        StoreError
            The bytes cannot be read, or are wrong.
        """
        from ..disk.atomic import destination, is_replaced

        size = 0

        def note(done: int, total: int | None) -> None:
            nonlocal size
            size = done
            if progress is not None:
                progress(done, total)

        with write_errors_of(path):
            if self.part is None:
                self.value.to_file(path, note)
            else:
                with destination(path) as file:
                    file.writelines(self.pieces(note))
            return path.stat().st_size if is_replaced(path) else size

    def record(self, output: Output, path: Path, size: int) -> None:
        """Write the result for programs."""
        key, verified = self.value.key, self.is_verified
        output.record({"key": key, "file": str(path), "size": size, "verified": verified})


@contextlib.contextmanager
def write_errors_of(path: Path) -> Iterator[None]:
    """Turn what the system says of a path in the block into a `CommandError`."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        text = f"{quoted(str(path))} cannot be written: {system_reason(error)}"
        raise CommandError(text) from error


@contextlib.contextmanager
def new_folders() -> Iterator[Callable[[Path], None]]:
    """Yield what makes a folder and those above it; at the end remove the empty ones."""
    made: list[Path] = []

    def make(folder: Path) -> None:
        missing = takewhile(lambda path: not path.is_dir(), (folder, *folder.parents))
        for path in reversed(list(missing)):
            path.mkdir()
            made.append(path)

    try:
        yield make
    finally:
        for path in reversed(made):
            with contextlib.suppress(OSError):  # it is not empty
                path.rmdir()


class FolderCopy:
    """Writes many values into a folder, each under its key; no link there is followed.

    Parameters
    ----------
    folder : Path
        The folder; made if it is missing.
    output : Output
        Takes a result for each value, and what is wrong.
    cut : callable
        Ends all reading, after an interrupt.
    """

    def __init__(self, folder: Path, output: Output, cut: Callable[[], object]) -> None:
        self._folder = folder
        self._cut = cut
        self._output = output
        self._errors: dict[str, Exception] = {}
        self._bytes = 0

    def write(self, parts: Mapping[str, ValuePart]) -> None:
        """Write all values that can be read and written.

        Parameters
        ----------
        parts : mapping of str to ValuePart
            What to write, by key.

        Raises
        ------
        CommandError
            The folder cannot be written; or some values failed, with the exit code for
            that, or all, with their own exit code.
        TransportError
            The host cannot be reached any more: many values in a row failed for that.
        """
        with new_folders() as make:
            with write_errors_of(self._folder):
                make(self._folder)
            writable = self._prepared(parts, make)
            try:
                self._copy(writable)
            except TransportError:
                self._show_errors()
                raise
        if self._errors:
            raise self._failure(len(parts))
        self._output.note(
            f"{self._folder}: {count_text(len(parts), 'value')}, {size_text(self._bytes)}"
        )

    def _prepared(
        self, parts: Mapping[str, ValuePart], make: Callable[[Path], None]
    ) -> dict[str, ValuePart]:
        from ..site.mirroring.survey import unwritable_keys

        with write_errors_of(self._folder):
            unfit = unwritable_keys(self._folder, parts)
        writable: dict[str, ValuePart] = {}
        for key, part in parts.items():
            path = self._folder / key
            if key in unfit:
                text = f"{quoted(str(path))} cannot be written: {unfit[key]}"
                self._errors[key] = CommandError(text)
                continue
            try:
                with write_errors_of(path):
                    make(path.parent)
                writable[key] = part
            except CommandError as error:
                self._errors[key] = error
        return writable

    def _copy(self, parts: Mapping[str, ValuePart]) -> None:
        from concurrent.futures import wait  # slow to import

        from ..site.mirroring.fetching import ProgressSum
        from ..workers import Workers

        with (
            self._output.bars("getting") as bars,
            Workers(tuning.CAREFUL_THREADS, "staticstore get") as pool,
        ):
            total = sum(part.size or 0 for part in parts.values()) if bars is not None else 0
            progress = ProgressSum(
                total,
                None if bars is None else bars.show_total,
                None
                if bars is None
                else lambda key, *counts: bars.show_value(printable(key), *counts),
            )

            def copy(part: ValuePart) -> int:
                with progress.of_value(part.value.key) as report:
                    return part.write(self._folder / part.value.key, report)

            copies: dict[str, Future[int]] = {}
            try:
                for key, part in parts.items():
                    copies[key] = pool.submit(partial(copy, part))
                self._collect(parts, copies)
            except BaseException:
                self._cut()
                pool.close()
                # What the threads have not finished, they remove.
                wait([one for one in copies.values() if not one.cancelled()], _PATIENCE_SECONDS)
                raise

    def _collect(self, parts: Mapping[str, ValuePart], copies: Mapping[str, Future[int]]) -> None:
        failed_in_a_row = 0
        for key, copying in copies.items():
            try:
                size = copying.result()
            except (StoreError, CommandError) as error:
                self._errors[key] = error
                is_down = isinstance(error, TransportError) and error.status not in _NOT_THERE
                failed_in_a_row = failed_in_a_row + 1 if is_down else 0
                if failed_in_a_row == tuning.MIRROR_FAILURES:
                    raise
            else:
                failed_in_a_row = 0
                self._bytes += size
                parts[key].record(self._output, self._folder / key, size)

    def _show_errors(self) -> None:
        for key, error in self._errors.items():
            if (ending := ending_of(error)) is not None:
                self._output.error(ending._replace(key=key, hint=None))

    def _failure(self, count: int) -> CommandError:
        self._show_errors()
        errors = [ending for ending in map(ending_of, self._errors.values()) if ending is not None]
        what = count_text(count, "value")
        if len(errors) == count and len({error.code for error in errors}) == 1:
            code, kind, _, hint, *_ = errors[0]
            return CommandError(f"none of {what} could be written", code=code, kind=kind, hint=hint)
        return partly_failed(
            f"{len(errors)} of {what} could not be written",
            hint="all others are; run the same command to try again",
        )
