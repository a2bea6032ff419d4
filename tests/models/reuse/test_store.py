"""models/reuse/store.py: computed once by any number of processes, never half, never another's, never too much."""

import contextlib
import hashlib
import json
import multiprocessing
import os
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from models.reuse import entry as entry_file
from models.reuse import store as store_file
from models.reuse.entry import entry_bytes, name_of
from models.reuse.store import RESERVE, Entry, Store, Stored, TooLarge, picture_store, to_evict

KEY = {"cut": "block4_pool", "resolution": 32, "view": "all", "classes": ["cat", "dog"]}
SHAPE = (10, 2, 3)
SIZE = 128 + 120  # bytes of an entry of this shape in float16
WHAT = "activations at block4_pool"
FORK = multiprocessing.get_context("fork")


def rows(start: int = 0, dtype: str = "float16") -> np.ndarray:
    return (np.arange(start, start + 60, dtype=np.float32).reshape(SHAPE) / 7).astype(dtype)


def batches(start: int = 0, dtype: str = "float16"):
    """What `get` is given: (4, 2, 3), (4, 2, 3) and (2, 2, 3)."""
    whole = rows(start, dtype)
    return lambda: (whole[first : first + 4] for first in range(0, 10, 4))


def never():
    pytest.fail("computed again")


def key(number: int) -> dict:
    return {**KEY, "view": str(number)}


def get(store: Store, of: dict = KEY, shape=SHAPE, produce=None, **options) -> np.ndarray:
    return store.get(of, shape, "float16", produce or batches(), WHAT, **options).array


def at(tmp_path: Path, limit: int | None) -> Store:
    return Store(tmp_path / "prefix", limit)


@pytest.fixture
def store(tmp_path) -> Store:
    return at(tmp_path, 10 * SIZE)


def path_of(tmp_path: Path, kind: str, of: dict = KEY) -> Path:
    return tmp_path / "prefix" / f"{name_of(of)}.{kind}"


def names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "prefix").iterdir())


def whole_entries(*keys: dict) -> list[str]:
    return sorted(f"{name_of(one)}.{kind}" for one in keys for kind in ("json", "npy"))


def used_at(tmp_path: Path, of: dict, second: int) -> None:
    for kind in ("npy", "json"):
        os.utime(path_of(tmp_path, kind, of), (second, second))


@pytest.mark.parametrize("dtype", ["float16", "float32", "uint8"])
def test_what_goes_in_comes_out(store, tmp_path, dtype):
    assert store.find(KEY) is None and not store.has(KEY) and not (tmp_path / "prefix").exists()
    expected = rows(0, dtype)
    got = store.get(KEY, SHAPE, dtype, batches(0, dtype), WHAT)
    assert isinstance(got, Stored) and isinstance(got.array, np.memmap) and not got.array.flags.writeable
    assert (got.array.shape, got.array.dtype, got.details) == (SHAPE, np.dtype(dtype), {})
    assert got.array.tobytes() == expected.tobytes()
    assert store.has(KEY)
    again = at(tmp_path, 0).get(KEY, SHAPE, dtype, never, WHAT)  # the limit is for what is written
    assert again.array.tobytes() == expected.tobytes()
    assert names(tmp_path) == whole_entries(KEY)
    plain = np.load(path_of(tmp_path, "npy"), allow_pickle=False)
    assert plain.tobytes() == expected.tobytes() and plain.shape == SHAPE
    data = path_of(tmp_path, "npy").read_bytes()
    assert len(data) == entry_bytes(SHAPE, dtype)
    assert json.loads(path_of(tmp_path, "json").read_text()) == {
        "format": 2,
        "key": KEY,
        "shape": list(SHAPE),
        "dtype": dtype,
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def test_a_key_of_another_format_is_another_key(store, monkeypatch):
    get(store)
    before = name_of(KEY)
    monkeypatch.setattr(entry_file, "FORMAT_VERSION", 3)
    assert name_of(KEY) != before and store.find(KEY) is None
    assert [entry.key for entry in store.entries()] == [None]


def test_an_entry_of_another_dtype_is_replaced(store):
    get(store)
    assert store.get(KEY, SHAPE, "float32", batches(0, "float32"), WHAT).array.dtype == np.float32


DETAILS = {"labels": [1, 0, 2], "left_out": [[3, "häßlich"]], "digest": "d" * 64}


def with_details(store: Store, n_rows: int = 10, produce=None) -> Stored:
    return store.get(KEY, SHAPE, "float16", produce or (lambda: iter([rows()[:n_rows]])), WHAT, lambda: DETAILS)


@pytest.mark.parametrize("n_rows", [1, 9, 10])
def test_details_come_back_and_say_which_rows_are_missing(store, tmp_path, n_rows):
    first = with_details(store, n_rows)
    assert first.array.tobytes() == rows()[:n_rows].tobytes() and first.array.shape == (n_rows, 2, 3)
    assert first.details == DETAILS
    again = with_details(at(tmp_path, 0), produce=never)
    assert again.array.tobytes() == rows()[:n_rows].tobytes() and again.details == DETAILS
    data = path_of(tmp_path, "npy").read_bytes()
    assert len(data) == 128 + 12 * n_rows
    assert json.loads(path_of(tmp_path, "json").read_text())["sha256"] == hashlib.sha256(data).hexdigest()
    assert np.load(path_of(tmp_path, "npy"), allow_pickle=False).shape == (n_rows, 2, 3)
    assert names(tmp_path) == whole_entries(KEY)


def test_no_rows_at_all_are_refused_also_with_details(store, tmp_path):
    with pytest.raises(ValueError, match="the batches end after 0 rows"):
        with_details(store, produce=lambda: iter([]))
    assert names(tmp_path) == []


CHANGES = {
    "flipped labels": {"details": {**DETAILS, "labels": [0, 1, 2]}},
    "another digest": {"details": {**DETAILS, "digest": "e" * 64}},
    "empty details": {"details": None},
    "no details": {"details": ...},
    "no checksum": {"details_sha256": ...},
    "neither": {"details": ..., "details_sha256": ...},
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_details_are_noticed_and_made_again(store, tmp_path, change):
    with_details(store)
    record = json.loads(path_of(tmp_path, "json").read_text()) | CHANGES[change]
    record = {name: value for name, value in record.items() if value is not ...}
    path_of(tmp_path, "json").write_text(json.dumps(record))
    assert (store.find(KEY) is None) == (change != "neither")
    assert with_details(store, produce=batches(100)).array.tobytes() == rows(100).tobytes()
    assert store.find(KEY).details == DETAILS


def test_pictures_may_fill_the_disk_and_none_goes_for_another(tmp_path, monkeypatch):
    pictures = picture_store(tmp_path)
    usage = store_file.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(store_file.shutil, "disk_usage", lambda place: usage._replace(free=SIZE))
    assert pictures.folder == tmp_path / "pictures" and pictures.room() == SIZE
    for number in (1, 2):
        get(pictures, key(number))
    monkeypatch.setattr(store_file.shutil, "disk_usage", lambda place: usage._replace(free=SIZE - 1))
    with pytest.raises(TooLarge, match=r"activations at block4_pool take 0\.0 MiB; there is room for 0\.0 MiB"):
        get(pictures, key(3), produce=never)
    assert [entry.key for entry in pictures.entries()] == [key(1), key(2)]
    assert get(pictures, key(1), produce=never).shape == SHAPE


def damage_byte(array: Path, record: Path) -> None:
    data = bytearray(array.read_bytes())
    data[-1] ^= 1
    array.write_bytes(data)
    os.utime(array, ns=(1, 1))  # at least a tick of the file system's clock lies between two writes


def damage_header(array: Path, record: Path) -> None:
    """A whole .npy file of the same size, with a checksum that fits, of another shape."""
    array.write_bytes(array.read_bytes().replace(b"(10, 2, 3)", b"(10, 3, 2)"))
    sha256 = hashlib.sha256(array.read_bytes()).hexdigest()
    record.write_text(json.dumps({**json.loads(record.read_text()), "sha256": sha256}))


def changed_record(**changes):
    def change(array: Path, record: Path) -> None:
        record.write_text(json.dumps({**json.loads(record.read_text()), **changes}))

    return change


DAMAGES = {
    "altered byte": damage_byte,
    "altered header": damage_header,
    "truncated": lambda array, record: os.truncate(array, SIZE - 2),
    "longer": lambda array, record: os.truncate(array, SIZE + 2),
    "no array": lambda array, record: array.unlink(),
    "no record": lambda array, record: record.unlink(),
    "half a record": lambda array, record: record.write_text(record.read_text()[:50]),
    "not text": lambda array, record: record.write_bytes(b"\xff\xfe\x00"),
    "deep": lambda array, record: record.write_text("[" * 100_000),
    "foreign": lambda array, record: record.write_text("[1, 2]"),
    "another key": changed_record(key={**KEY, "cut": "block5_pool"}),
    "no key": changed_record(key={"backbone": "vgg19"}),
    "another shape": changed_record(shape=[10, 2, 4]),
    "negative shape": changed_record(shape=[-10, -2, 3]),
    "no shape": changed_record(shape=None),
    "another dtype": changed_record(dtype="float32"),
    "an impossible dtype": changed_record(dtype="object"),
    "another format": changed_record(format=0),
    "another checksum": changed_record(sha256="0" * 64),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_not_used_and_made_again(store, tmp_path, damage):
    get(store)
    DAMAGES[damage](path_of(tmp_path, "npy"), path_of(tmp_path, "json"))
    assert store.find(KEY) is None
    assert len(store.entries()) == 1
    assert store.has(KEY) == (damage in ("altered byte", "altered header", "another checksum"))
    assert get(store, produce=batches(100)).tobytes() == rows(100).tobytes()
    assert get(at(tmp_path, 0), produce=never).tobytes() == rows(100).tobytes()
    assert names(tmp_path) == whole_entries(KEY)


def test_the_checksum_is_read_once_for_each_state_of_the_file(store, tmp_path, monkeypatch):
    read = []
    file_digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *args: read.append(1) or file_digest(*args))
    get(store)
    assert store.find(KEY) is not None and not read  # hashed while it was written
    os.utime(path_of(tmp_path, "npy"), ns=(1, 1))
    assert store.find(KEY) is not None and len(read) == 1
    assert store.find(KEY) is not None and len(read) == 1


def test_an_entry_of_another_shape_is_replaced(store):
    get(store)
    assert get(store, KEY, (5, 12), lambda: iter([rows().reshape(5, 12)])).shape == (5, 12)


def test_a_replaced_or_deleted_file_stays_readable_for_who_has_mapped_it(store):
    held = get(store)
    assert store.clear() > SIZE
    get(store, produce=batches(100))
    assert held.tobytes() == rows().tobytes()


@pytest.mark.parametrize(
    ("shape", "given", "said"),
    [
        (SHAPE, [rows()[:9]], "the batches end after 9 rows. Expected: 10"),
        (SHAPE, [rows(), rows()[:1]], "ends at row 11. Expected: part of (10, 2, 3)"),
        (SHAPE, [rows().reshape(10, 3, 2)], "a batch of shape (10, 3, 2)"),
        (SHAPE, [], "the batches end after 0 rows"),
        ((10, 0), [rows()], "all at least 1. Received: (10, 0)"),
        ((), [rows()], "at least one dimension"),
        (SHAPE, [rows(0, "float32")], "a batch is of dtype float32. Expected: float16"),
    ],
)
def test_batches_must_add_up(store, tmp_path, shape, given, said):
    with pytest.raises(ValueError) as raised:
        get(store, KEY, shape, lambda: iter(given))
    assert said in str(raised.value)
    assert not (tmp_path / "prefix").exists() or names(tmp_path) == []


class Interrupted(BaseException):
    pass


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), Interrupted(), OSError(28, "No space left")])
def test_what_produce_raises_passes_and_leaves_nothing(store, tmp_path, error):
    closed = []

    def produce():
        try:
            yield rows()[:4]
            raise error
        finally:
            closed.append(True)

    with pytest.raises(type(error)) as raised:
        get(store, produce=produce)
    assert raised.value is error and closed == [True]
    assert names(tmp_path) == [] and store.room() == 10 * SIZE
    assert get(store).shape == SHAPE


def test_a_folder_that_may_only_be_read_serves_and_says_why_it_cannot_keep(store, tmp_path, monkeypatch):
    get(store)
    before = path_of(tmp_path, "json").stat().st_mtime_ns

    def refuse(*args, **kwargs):
        raise PermissionError(30, "Read-only file system")

    for name in ("utime", "unlink", "rename", "open"):
        monkeypatch.setattr(os, name, refuse)
    assert store.find(KEY).array.tobytes() == rows().tobytes()
    assert store.has(KEY) and len(store.entries()) == 1 and store.room() == 10 * SIZE
    with pytest.raises(PermissionError, match="Read-only file system"):
        get(store, key(1))
    monkeypatch.undo()
    assert path_of(tmp_path, "json").stat().st_mtime_ns == before


def test_a_full_disk_and_a_file_in_place_of_the_folder_pass_to_the_caller(store, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        get(store)
    assert names(tmp_path) == []
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        get(at(tmp_path / "file", 10 * SIZE), KEY)
    assert at(tmp_path / "file", 10 * SIZE).find(KEY) is None


def entry(number: int, n_bytes: int) -> Entry:
    return Entry(key(number), n_bytes, float(number), Path(str(number)))


@pytest.mark.parametrize(
    ("limit", "needed", "gone"),
    [
        (100, 40, []),
        (100, 41, [1]),
        (100, 50, [1]),
        (100, 51, [1, 2]),
        (100, 70, [1, 2]),
        (100, 71, [1, 2, 3]),
        (100, 100, [1, 2, 3]),
        (100, 101, []),  # in vain
        (30, 0, [1, 2]),  # the limit has been lowered
        (0, 0, [1, 2, 3]),
    ],
)
def test_to_evict(limit, needed, gone):
    entries = [entry(3, 30), entry(1, 10), entry(2, 20)]
    assert [int(one.last_used) for one in to_evict(entries, limit, needed)] == gone
    assert len(entries) == 3 and to_evict([], limit, needed) == []


def test_the_least_recently_used_goes_first_and_the_limit_holds(tmp_path):
    store = at(tmp_path, 3 * SIZE)
    for number in (1, 2, 3):
        get(store, key(number))
        used_at(tmp_path, key(number), number)
    assert [(one.key, one.bytes, one.last_used, one.shape) for one in store.entries()] == [
        (key(number), SIZE, float(number), SHAPE) for number in (1, 2, 3)
    ]
    start = time.time()
    assert store.find(key(1)) is not None  # used again
    assert store.entries()[-1].last_used >= start - 1
    assert store.has(key(2))  # asking is not using
    get(store, key(4))
    assert names(tmp_path) == whole_entries(key(1), key(3), key(4))
    assert sum(one.bytes for one in store.entries()) == 3 * SIZE
    get(at(tmp_path, SIZE), key(5))  # the limit has been lowered
    assert names(tmp_path) == whole_entries(key(5))


def test_damaged_entries_count_and_go_when_their_time_comes(tmp_path):
    store = at(tmp_path, 2 * SIZE)
    for number in (1, 2):
        get(store, key(number))
        used_at(tmp_path, key(number), number)
    path_of(tmp_path, "json", key(1)).unlink()
    (tmp_path / "prefix" / "notes.txt").write_text("not ours")
    assert [(one.key, one.bytes) for one in store.entries()] == [(None, SIZE), (key(2), SIZE)]
    get(store, key(3))
    assert names(tmp_path) == sorted([*whole_entries(key(2), key(3)), "notes.txt"])


def test_too_large_for_the_limit(tmp_path):
    with pytest.raises(TooLarge, match=r"activations at block4_pool take 0\.0 MiB; the limit is 0\.0 MiB"):
        get(at(tmp_path, SIZE - 1), KEY, produce=never)
    assert list(tmp_path.iterdir()) == []
    assert get(at(tmp_path, SIZE), KEY).shape == SHAPE
    assert issubclass(TooLarge, OSError)


def test_too_large_for_the_disk(store, tmp_path, monkeypatch):
    for number in (1, 2):
        get(store, key(number))
        used_at(tmp_path, key(number), number)
    usage = store_file.shutil.disk_usage(tmp_path)

    def free(n_bytes: int) -> None:
        monkeypatch.setattr(store_file.shutil, "disk_usage", lambda place: usage._replace(free=n_bytes))

    free(RESERVE + SIZE)
    assert store.room() == 3 * SIZE  # with both entries gone
    free(RESERVE - 3 * SIZE)
    assert store.room() == 0
    with pytest.raises(TooLarge, match=r"take 0\.0 MiB; there is room for 0\.0 MiB"):
        get(store, key(3), produce=never)
    assert names(tmp_path) == whole_entries(key(1), key(2))  # nothing was deleted in vain
    free(RESERVE)
    get(store, key(3))
    assert names(tmp_path) == whole_entries(key(2), key(3))


def test_room_before_anything_is_there(tmp_path):
    assert at(tmp_path / "not" / "there", 1000).room() == 1000
    assert at(tmp_path / "not" / "there", 1000).entries() == []
    assert at(tmp_path / "not" / "there", 1000).clear() == 0
    assert list(tmp_path.iterdir()) == []


def _write_and_hang(tmp_path: Path, started) -> None:
    def produce():
        yield rows()[:4]
        started.set()
        time.sleep(60)

    get(at(tmp_path, 3 * SIZE), KEY, produce=produce)


@contextmanager
def a_writer_in_the_middle(tmp_path: Path):
    """A process that holds the lock of KEY and has written a part; killed at the end, without a chance to clean."""
    started = FORK.Event()
    process = FORK.Process(target=_write_and_hang, args=(tmp_path, started))
    process.start()
    try:
        assert started.wait(30)
        yield
    finally:
        process.kill()  # SIGKILL
        process.join(30)


def test_a_killed_writer_leaves_nothing_that_is_used_or_stays(tmp_path):
    store = at(tmp_path, 3 * SIZE)
    with a_writer_in_the_middle(tmp_path):
        assert store.find(KEY) is None and not store.has(KEY) and store.entries() == []
        assert store.room() == 2 * SIZE  # its final size counts from the start
        get(store, key(1))
        get(store, key(2))
        used_at(tmp_path, key(1), 1)
        get(store, key(3))
        assert [one.key for one in store.entries()] == [key(2), key(3)]
        with pytest.raises(TooLarge):
            get(store, key(4), (40, 2, 3), never)  # fits in the limit, not beside it
        store.clear()  # what is being written stays
        assert [name.split(".")[0] for name in names(tmp_path)] == [name_of(KEY)] * 2
    assert [Path(name).suffix for name in names(tmp_path)] in ([".tmp", ".lock"], [".lock", ".tmp"])
    assert store.find(KEY) is None
    assert store.room() == 3 * SIZE
    assert names(tmp_path) == []
    assert get(store).tobytes() == rows().tobytes()


def test_what_a_killed_writer_left_is_cleared_or_replaced(tmp_path):
    store = at(tmp_path, 3 * SIZE)
    with a_writer_in_the_middle(tmp_path):
        pass
    assert store.clear() == SIZE
    assert names(tmp_path) == []
    with a_writer_in_the_middle(tmp_path):
        pass
    get(store)
    assert names(tmp_path) == whole_entries(KEY)


def _get_slowly(tmp_path: Path, barrier, results) -> None:
    def produce():
        with (tmp_path / "count").open("a") as file:
            file.write("x")
        for batch in batches()():
            time.sleep(0.1)
            yield batch

    barrier.wait(30)
    results.put(get(at(tmp_path, 3 * SIZE), KEY, produce=produce).tobytes())


def test_many_processes_at_once_compute_once(tmp_path):
    barrier, results = FORK.Barrier(4), FORK.Queue()
    processes = [FORK.Process(target=_get_slowly, args=(tmp_path, barrier, results)) for _ in range(4)]
    for process in processes:
        process.start()
    assert {results.get(timeout=30) for _ in processes} == {rows().tobytes()}
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0] * 4
    assert (tmp_path / "count").read_text() == "x"
    assert names(tmp_path) == whole_entries(KEY)


def arrays_in(tmp_path: Path) -> int:
    """Bytes of all arrays at one moment, finished or being written; their records are larger and no part of it."""
    found = 0
    for path in list((tmp_path / "prefix").iterdir()) if (tmp_path / "prefix").exists() else []:
        with contextlib.suppress(FileNotFoundError):
            found += SIZE * (path.stat().st_size == SIZE)
    return found


def _fill_up(tmp_path: Path, first: int) -> None:
    store = at(tmp_path, 4 * SIZE)
    for number in range(first, first + 30):
        get(store, key(number % 40), produce=batches(number % 40))


def test_the_limit_holds_with_many_writers(tmp_path):
    processes = [FORK.Process(target=_fill_up, args=(tmp_path, 10 * number)) for number in range(3)]
    for process in processes:
        process.start()
    most = 0
    while any(process.is_alive() for process in processes):
        most = max(most, arrays_in(tmp_path))
    assert most <= 4 * SIZE
    assert [process.exitcode for process in processes] == [0] * 3
    kept = at(tmp_path, 0).entries()
    assert sum(one.bytes for one in kept) == 4 * SIZE
    for one in kept:
        found = at(tmp_path, 0).find(one.key)
        assert found.array.tobytes() == rows(int(one.key["view"])).tobytes()
    assert names(tmp_path) == whole_entries(*[one.key for one in kept])
