"""A file is the old one or the new one, never a part: errors, full disks, kill -9, permissions."""

import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

from graphembed._storage import atomic as _atomic
from graphembed._storage import atomic_path, read_arrays, write_arrays
from graphembed._storage import container as _storage
from graphembed.exceptions import FileFormatError

posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system")


def save(path, value: int, size: int = 50_000) -> None:
    write_arrays(path, kind="t", meta={"value": value}, arrays={"x": np.full(size, value)})


def load(path) -> int:
    meta, arrays = read_arrays(path, kind="t")
    assert (arrays["x"] == meta["value"]).all()
    return int(meta["value"])


def run(script: str, *args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("kind", [str, Path])
def test_the_new_file_takes_the_place_of_the_old(tmp_path, kind):
    path = tmp_path / "file"
    with atomic_path(kind(path)) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.read_bytes() == b""
        temporary.write_bytes(b"one")
        assert not path.exists()
    with atomic_path(kind(path)) as temporary:
        temporary.write_bytes(b"two")
        assert path.read_bytes() == b"one"
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with atomic_path("file") as temporary:
        temporary.write_bytes(b"one")
    assert (tmp_path / "file").read_bytes() == b"one"


def test_a_very_long_name(tmp_path):
    path = tmp_path / ("ü" * 127)  # 254 bytes, 255 are allowed
    save(path, 1)
    assert load(path) == 1


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit, MemoryError])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def attempt():
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        attempt()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_every_write_may_fail(tmp_path, monkeypatch, error):
    """Fail at the first piece written, then at the second, and so on to the last."""
    path = tmp_path / "file"
    arrays = {"a": np.random.default_rng(0).random(1_200_000), "b": np.arange(3)}
    write, left = _storage._write_piece, 10**6

    def failing(*args):
        nonlocal left
        left -= 1
        if left < 0:
            raise error
        write(*args)

    monkeypatch.setattr(_storage, "_write_piece", failing)
    write_arrays(path, kind="t", meta={}, arrays=arrays)
    n_pieces = 10**6 - left
    assert n_pieces > 5
    save(path, 1)
    for allowed in range(n_pieces):
        left = allowed
        with pytest.raises(type(error)) as caught:
            write_arrays(path, kind="t", meta={}, arrays=arrays)
        assert getattr(caught.value, "filename", str(path)) == str(path)
        assert load(path) == 1
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_flush_and_rename_may_fail(tmp_path, monkeypatch, failing):
    path = tmp_path / "file"
    save(path, 1)

    def fail(*args, **kwargs):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail) if failing == "fsync" else monkeypatch.setattr(
        Path, "replace", fail
    )
    with pytest.raises(OSError, match="Input/output error"):
        save(path, 2)
    assert load(path) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_the_data_reach_the_disk_before_the_name(tmp_path, monkeypatch):
    events = []
    sync, replace = _atomic._sync, Path.replace
    monkeypatch.setattr(
        _atomic, "_sync", lambda path: (events.append((path, path.stat().st_size)), sync(path))
    )
    monkeypatch.setattr(
        Path, "replace", lambda self, to: (events.append("replace"), replace(self, to))
    )
    path = tmp_path / "file"
    save(path, 1)
    (temporary, size), rename, (folder, _) = events
    assert temporary.parent == tmp_path
    assert temporary.suffix == ".tmp"
    assert size == path.stat().st_size
    assert rename == "replace"
    assert folder == tmp_path


def test_a_folder_that_cannot_be_flushed_is_no_error(tmp_path, monkeypatch):
    sync = os.fsync

    def refuse_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    save(tmp_path / "file", 1)
    assert load(tmp_path / "file") == 1


@posix
def test_modes(tmp_path):
    old = os.umask(0o027)
    try:
        save(tmp_path / "new", 1)
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
        (tmp_path / "new").chmod(0o604)
        save(tmp_path / "new", 2)
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o604
    finally:
        os.umask(old)


@posix
def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "file", tmp_path / "link"
    link.symlink_to(target)
    save(link, 1)
    save(link, 2)
    assert link.is_symlink()
    assert load(target) == 2


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"create it first.*no/file"):
        save(tmp_path / "no" / "file", 1)
    (tmp_path / "plain").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="create it first"):
        save(tmp_path / "plain" / "file", 1)


@posix
def test_what_is_no_regular_file_is_never_replaced(tmp_path):
    with pytest.raises(IsADirectoryError, match="directory"):
        save(tmp_path, 1)
    with pytest.raises(OSError, match=r"only a regular file can be replaced.*/dev/null"):
        save("/dev/null", 1)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="only a regular file"):
        save(tmp_path / "fifo", 1)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


FORBIDDEN = """
import os, sys
import numpy as np
from graphembed._storage import write_arrays
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for path in sys.argv[1:]:
    try:
        write_arrays(path, kind="t", meta={}, arrays={"x": np.zeros(3)})
    except PermissionError as error:
        print(type(error).__name__, error.filename == path)
"""


@posix
def test_permissions():
    folder = Path(tempfile.mkdtemp())
    try:
        closed, file = folder / "closed", folder / "open" / "file"
        closed.mkdir()
        file.parent.mkdir()
        file.write_bytes(b"old")
        for path, mode in ((file, 0o444), (file.parent, 0o777), (closed, 0o555), (folder, 0o755)):
            path.chmod(mode)
        done = run(FORBIDDEN, closed / "file", file)
        assert done.stderr == ""
        assert done.stdout == "PermissionError True\n" * 2
        assert file.read_bytes() == b"old"
        assert list(closed.iterdir()) == []
        assert list(file.parent.iterdir()) == [file]
    finally:
        closed.chmod(0o755)
        shutil.rmtree(folder)


FULL_DISK = """
import resource, signal, sys
import numpy as np
from graphembed._storage import write_arrays
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for limit in (0, 7, 100, 4096, 50_000, 399_999):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write_arrays(sys.argv[1], kind="t", meta={}, arrays={"x": np.zeros(50_000)})
    except OSError as error:
        sys.stdout.write(f"{error.filename}\\n")
"""


@posix
def test_full_disk(tmp_path):
    path = tmp_path / "file"
    save(path, 1)
    done = run(FULL_DISK, path)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout == f"{path}\n" * 6
    assert load(path) == 1
    assert list(tmp_path.iterdir()) == [path]


# One process imports the library once and kills its children in the middle of their saves.
KILLER = """
import os, random, signal, sys, time
import numpy as np
from graphembed._storage import read_arrays, write_arrays

def save(value):
    write_arrays(path, kind="t", meta={"value": value}, arrays={"x": np.full(50_000, value)})

path, kills = sys.argv[1], int(sys.argv[2])
random.seed(0)
save(0)
seen = set()
for kill in range(kills):
    ready, saved = os.pipe()
    child = os.fork()
    if child == 0:
        value = kill * 100_000
        save(value)
        os.write(saved, b".")
        while True:
            value += 1
            save(value)
    os.close(saved)
    assert os.read(ready, 1) == b"."  # however late a busy machine let it begin
    os.close(ready)
    time.sleep(random.uniform(0, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    meta, arrays = read_arrays(path, kind="t")
    assert (arrays["x"] == meta["value"]).all()
    seen.add(meta["value"])
print(len(seen), sum(name.endswith(".tmp") for name in os.listdir(os.path.dirname(path))))
"""


@posix
@pytest.mark.parametrize("kills", [40, pytest.param(400, marks=pytest.mark.slow)])
def test_kill_9_at_random_moments(tmp_path, kills):
    done = run(KILLER, tmp_path / "file", kills)
    assert (done.stderr, done.returncode) == ("", 0)
    values, cut_short = map(int, done.stdout.split())
    assert values == kills  # each left a file of its own
    assert cut_short > 0  # and some were killed in the middle


def test_a_reader_beside_a_writer_sees_whole_files_only(tmp_path):
    path = tmp_path / "file"
    save(path, 0, 2000)
    stop, faults, seen = threading.Event(), [], set()

    def read():
        while not stop.is_set():
            try:
                seen.add(load(path))
            except (OSError, FileFormatError, AssertionError) as error:
                faults.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for value in range(1, 150):
        save(path, value, 2000)
    stop.set()
    reader.join()
    assert faults == []
    assert len(seen) > 3
