"""Write files so that a reader never meets half of one.

Everything is written to a temporary name in the same folder, flushed to the disk and renamed. When the
write fails, the temporary file goes and the old file stays as it was.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from avzsl.errors import DataError, OutputError

if TYPE_CHECKING:
    from torch import Tensor

LOCK = ".avzsl.lock"


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` when the block ends well, and vanishes when it does not.

    Raises:
        OutputError: the folder cannot be made or written to, or the disk is full.
    """
    target = Path(path)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=f".partial{target.suffix}", dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
        temporary = None
    except OSError as error:
        raise OutputError(f"cannot write {target}: {reason(error)}; {_way_on(error)}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write bytes atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path | str, value: Any) -> None:
    """Write readable JSON atomically; NaN and infinity are refused because JSON has no name for them."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_tensors(path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors atomically as safetensors; views and tensors on other devices are copied first."""
    from safetensors.torch import save

    # safetensors refuses shared memory; and its own way to a file reports a full disk as an error of its own kind.
    own = {name: value.detach().to("cpu").contiguous().clone() for name, value in tensors.items()}
    write_bytes(path, save(own, None if metadata is None else dict(metadata)))


def is_leftover(path: Path) -> bool:
    """Whether a file is the temporary one of a process that was killed while it wrote (or writes right now)."""
    return path.name.startswith(".") and ".partial" in path.name


def sweep(folder: Path | str) -> None:
    """Remove what killed processes left in a folder; only for those who hold its lock."""
    for path in Path(folder).glob(".*.partial*"):
        if is_leftover(path):
            with contextlib.suppress(OSError):
                path.unlink()


@contextlib.contextmanager
def lock_folder(folder: Path | str) -> Iterator[None]:
    """Keep other processes from writing into the same folder; the folder is made when it is not there.

    The system lets go of the lock when the process ends, however it ends, so nothing has to be cleaned up by hand.

    Raises:
        OutputError: somebody else holds the lock, or the folder cannot be written to.
    """
    place = Path(folder)
    existed = place.is_dir()
    try:
        place.mkdir(parents=True, exist_ok=True)
        held = _hold(place / LOCK)
    except OSError as error:
        raise OutputError(f"cannot write {place}: {reason(error)}; {_way_on(error)}") from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows keeps open files
            (place / LOCK).unlink()
        held.close()
        if not existed:
            with contextlib.suppress(OSError):
                place.rmdir()  # goes only when it is empty: nothing came of it


def _hold(path: Path) -> BinaryIO:
    """Open and lock a file."""
    while True:
        file = path.open("a+b")
        try:
            if not _lock(file):
                file.seek(0)
                number = file.read(20).decode("ascii", "replace").strip()
                by = f" (process {number})" if number else ""
                raise OutputError(
                    f"{path.parent} is in use by another run of avzsl{by}; wait until it ends or choose another folder"
                )
            # Whoever held it before may have deleted it after we opened it; then we hold nothing.
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                file.truncate(0)
                file.write(str(os.getpid()).encode())
                file.flush()
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _lock(file: BinaryIO) -> bool:
    """Take the lock without waiting; True also where the file system knows no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(4096)  # beyond the number in it, which others may read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK)
    return True


def read_text(path: Path | str, encoding: str = "utf-8") -> str:
    """The text of a file; a pipe or a device, which may never come to an end, is refused.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is not text in this encoding.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "it is a folder, a pipe or a device, not a file", str(path))
    return Path(path).read_text(encoding=encoding)


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        DataError: the file is missing, unreadable or not JSON.
    """
    try:
        text = read_text(path)
        value = json.loads(text)
        if "\\ud" in text.lower():  # half a character, which nobody could print or write again
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except (ValueError, RecursionError) as error:  # brackets in brackets without end
        message = f"{path} is not valid JSON ({error}); delete it and run the step that writes it again"
        raise DataError(message) from error


def hash_bytes(*chunks: bytes) -> str:
    """SHA-256 of the chunks, each preceded by its length, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(len(chunk).to_bytes(8, "little"))
        digest.update(chunk)
    return digest.hexdigest()


def hash_settings(settings: Mapping[str, Any]) -> str:
    """A hash of plain settings that does not depend on the order of keys."""
    return hash_bytes(json.dumps(settings, sort_keys=True, ensure_ascii=False, default=str).encode())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def reason(error: OSError) -> str:
    """Why the system refused, without the details that libraries add."""
    number = _number(error)
    return error.strerror or (os.strerror(number) if number else str(error))


def _number(error: OSError) -> int | None:
    """The system's number of the error; HDF5 hides it in its sentence."""
    hidden = re.search(r"errno = (\d+)", str(error))
    return error.errno or (int(hidden.group(1)) if hidden else None)


def _way_on(error: OSError) -> str:
    number = _number(error)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "free some disk space and run the same command again"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "choose a folder you may write to"
    return "check the path and run the same command again"
