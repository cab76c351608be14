"""One publisher, mirror or push at a time on a folder."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator

from ..errors import StoreError, quoted
from .folder import SiteFolder, reason_of

__all__ = ["alone", "unwritable"]


@contextlib.contextmanager
def alone(folder: SiteFolder) -> Iterator[None]:
    """Hold a site's lock while the block lasts.

    It is the operating system's, so that it ends with the process, however
    that ends; the file that it is on stays.

    Raises
    ------
    StoreError
        Somebody else holds it, now; a link stands where the site's own folders are
        written; the lock is another name of a file; or the folder cannot be written.
    """
    import filelock  # here, since that takes as long as all the rest of staticstore

    folder.check_links()
    with contextlib.ExitStack() as held:
        is_new = not folder.private.exists()
        try:
            folder.private.mkdir(exist_ok=True)
            _check_lock(folder)
            held.enter_context(filelock.FileLock(folder.lock).acquire(timeout=0))
        except filelock.Timeout as error:
            raise StoreError(
                f"another publish, mirror or push is running on {_shown(folder)}: wait for its end"
            ) from error
        except (OSError, NotImplementedError) as error:
            raise unwritable(folder, error) from error
        try:
            yield
        except StoreError:
            if is_new:  # what was refused leaves nothing
                _remove_lock(folder)
            raise


def _check_lock(folder: SiteFolder) -> None:
    """Refuse a lock that is also another file, which locking would empty."""
    with contextlib.suppress(FileNotFoundError):
        status = folder.lock.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise StoreError(
                f"{quoted(str(folder.lock))} is no lock, but a link or a device: remove it"
            )


def _remove_lock(folder: SiteFolder) -> None:
    """Remove the lock while it is held, and its folder if nothing else is in it."""
    with contextlib.suppress(OSError):
        if [path.name for path in folder.private.iterdir()] == [folder.lock.name]:
            folder.lock.unlink()
            folder.private.rmdir()


def unwritable(folder: SiteFolder, error: Exception) -> StoreError:
    """Return the error that says that a site's folder cannot be written, and why."""
    reason = reason_of(error) if isinstance(error, OSError) else "its file system has no locks"
    return StoreError(f"{_shown(folder)} cannot be written: {reason}")


def _shown(folder: SiteFolder) -> str:
    return quoted(str(folder.root))
