"""models/prefix_cache.py: computed once by any number of processes, never half, never another's, never too much."""

import contextlib
import dataclasses
import hashlib
import json
import multiprocessing
import os
import time
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from models import prefix_cache
from models.prefix_cache import RESERVE, Entry, PrefixCache, TooLarge, command, to_evict
from models.reuse import entry as entry_file
from models.reuse.entry import FeatureOverflow, Key, entry_bytes

KEY = Key("vgg19", "w" * 64, "block4_pool", 32, "caffe", "d" * 64, "train", "all", "", "float16")
SHAPE = (10, 2, 3)
SIZE = 128 + 120  # bytes of an entry of this shape in float16
FORK = multiprocessing.get_context("fork")


def rows(start: int = 0) -> np.ndarray:
    return np.arange(start, start + 60, dtype=np.float32).reshape(SHAPE) / 7


def batches(start: int = 0):
    """What `get` is given: (4, 2, 3), (4, 2, 3) and (2, 2, 3) float32."""
    whole = rows(start)
    return lambda: (whole[first : first + 4] for first in range(0, 10, 4))


def never():
    pytest.fail("computed again")


def key(number: int) -> Key:
    return replace(KEY, view=str(number))


@pytest.fixture
def store(tmp_path) -> PrefixCache:
    return PrefixCache(tmp_path, 10 * SIZE)


def path_of(tmp_path: Path, kind: str, of: Key = KEY) -> Path:
    return tmp_path / "prefix" / f"{of.digest()}.{kind}"


def names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "prefix").iterdir())


def whole_entries(*keys: Key) -> list[str]:
    return sorted(f"{one.digest()}.{kind}" for one in keys for kind in ("json", "npy"))


def used_at(tmp_path: Path, of: Key, second: int) -> None:
    for kind in ("npy", "json"):
        os.utime(path_of(tmp_path, kind, of), (second, second))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_goes_in_comes_out(store, tmp_path, dtype):
    asked = replace(KEY, dtype=dtype)
    assert store.find(asked) is None and not store.has(asked) and not (tmp_path / "prefix").exists()
    got = store.get(asked, SHAPE, batches())
    expected = rows().astype(dtype)
    assert isinstance(got, np.memmap) and not got.flags.writeable
    assert (got.shape, got.dtype) == (SHAPE, np.dtype(dtype))
    assert got.tobytes() == expected.tobytes()
    assert store.has(asked)
    again = PrefixCache(tmp_path, 0).get(asked, SHAPE, never)  # the limit is for what is written
    assert again.tobytes() == expected.tobytes()
    assert names(tmp_path) == whole_entries(asked)
    plain = np.load(path_of(tmp_path, "npy", asked), allow_pickle=False)
    assert plain.tobytes() == expected.tobytes() and plain.shape == SHAPE
    data = path_of(tmp_path, "npy", asked).read_bytes()
    assert len(data) == entry_bytes(SHAPE, dtype)
    assert json.loads(path_of(tmp_path, "json", asked).read_text()) == {
        "format": 2,
        "key": asdict(asked),
        "shape": list(SHAPE),
        "dtype": dtype,
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def test_every_field_is_part_of_the_identity(store, monkeypatch):
    names_of_texts = [field.name for field in fields(Key) if field.name not in ("resolution", "dtype")]
    others = [replace(KEY, **{name: "other"}) for name in names_of_texts]
    others += [replace(KEY, resolution=33), replace(KEY, dtype="float32")]
    assert len(others) == len(fields(Key))
    assert len({one.digest() for one in [KEY, *others]}) == len(others) + 1
    assert KEY.digest() == replace(KEY).digest() and len(KEY.digest()) == 64
    store.get(KEY, SHAPE, batches())
    assert not any(store.has(other) or store.find(other) is not None for other in others)
    before = KEY.digest()
    monkeypatch.setattr(entry_file, "FORMAT_VERSION", 3)
    assert KEY.digest() != before and store.find(KEY) is None
    assert [entry.key for entry in store.entries()] == [None]


@pytest.mark.parametrize("wrong", [{"dtype": "float64"}, {"resolution": "32"}, {"resolution": None}, {"cut": 3}])
def test_a_key_of_the_wrong_kind_is_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} .*Received: "):
        replace(KEY, **wrong)


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
    "another key": changed_record(key=asdict(replace(KEY, cut="block5_pool"))),
    "no key": changed_record(key={"backbone": "vgg19"}),
    "another shape": changed_record(shape=[10, 2, 4]),
    "negative shape": changed_record(shape=[-10, -2, 3]),
    "no shape": changed_record(shape=None),
    "another dtype": changed_record(dtype="float32"),
    "another format": changed_record(format=0),
    "another checksum": changed_record(sha256="0" * 64),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_not_used_and_made_again(store, tmp_path, damage):
    store.get(KEY, SHAPE, batches())
    DAMAGES[damage](path_of(tmp_path, "npy"), path_of(tmp_path, "json"))
    assert store.find(KEY) is None
    assert len(store.entries()) == 1
    assert store.has(KEY) == (damage in ("altered byte", "altered header", "another checksum"))
    assert store.get(KEY, SHAPE, batches(100)).tobytes() == rows(100).astype("float16").tobytes()
    assert PrefixCache(tmp_path, 0).get(KEY, SHAPE, never).tobytes() == rows(100).astype("float16").tobytes()
    assert names(tmp_path) == whole_entries(KEY)


def test_the_checksum_is_read_once_for_each_state_of_the_file(store, tmp_path, monkeypatch):
    read = []
    file_digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *args: read.append(1) or file_digest(*args))
    store.get(KEY, SHAPE, batches())
    assert store.find(KEY) is not None and not read  # hashed while it was written
    os.utime(path_of(tmp_path, "npy"), ns=(1, 1))
    assert store.find(KEY) is not None and len(read) == 1
    assert store.find(KEY) is not None and len(read) == 1


def test_an_entry_of_another_shape_is_replaced(store):
    store.get(KEY, SHAPE, batches())
    assert store.get(KEY, (5, 12), lambda: iter([rows().reshape(5, 12)])).shape == (5, 12)


def test_a_replaced_or_deleted_file_stays_readable_for_who_has_mapped_it(store):
    held = store.get(KEY, SHAPE, batches())
    assert store.clear() > SIZE
    store.get(KEY, SHAPE, batches(100))
    assert held.tobytes() == rows().astype("float16").tobytes()


@pytest.mark.parametrize(
    ("shape", "given", "said"),
    [
        (SHAPE, [rows()[:9]], "the batches end after 9 rows. Expected: 10"),
        (SHAPE, [rows(), rows()[:1]], "ends at row 11. Expected: part of (10, 2, 3)"),
        (SHAPE, [rows().reshape(10, 3, 2)], "a batch of shape (10, 3, 2)"),
        (SHAPE, [], "the batches end after 0 rows"),
        ((10, 0), [rows()], "all at least 1. Received: (10, 0)"),
        ((), [rows()], "at least one dimension"),
    ],
)
def test_batches_must_add_up(store, tmp_path, shape, given, said):
    with pytest.raises(ValueError) as raised:
        store.get(KEY, shape, lambda: iter(given))
    assert said in str(raised.value)
    assert not (tmp_path / "prefix").exists() or names(tmp_path) == []


@pytest.mark.parametrize(("value", "shown"), [(65520, "65520"), (-1e9, "1e+09"), (np.inf, "inf"), (np.nan, "nan")])
def test_what_float16_cannot_hold_is_said_and_float32_holds_it(store, tmp_path, value, shown):
    given = rows()
    given[7, 1, 1] = value
    with pytest.raises(FeatureOverflow) as raised:
        store.get(KEY, SHAPE, lambda: iter([given]))
    assert str(raised.value) == f"activations at block4_pool reach {shown}: float16 ends at 65504"
    assert names(tmp_path) == []
    wide = store.get(replace(KEY, dtype="float32"), SHAPE, lambda: iter([given]))
    assert wide.tobytes() == given.tobytes()


def test_the_largest_float16_is_kept(store):
    assert store.get(KEY, (1, 1), lambda: iter([np.array([[65504.0]])]))[0, 0] == 65504


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
        store.get(KEY, SHAPE, produce)
    assert raised.value is error and closed == [True]
    assert names(tmp_path) == [] and store.room() == 10 * SIZE
    assert store.get(KEY, SHAPE, batches()).shape == SHAPE


def test_a_producer_is_closed_when_its_batches_are_refused(store):
    closed = []

    def produce():
        try:
            yield np.full((4, 2, 3), 1e6)
            pytest.fail("asked for more")
        finally:
            closed.append(True)

    with pytest.raises(FeatureOverflow) as raised:
        store.get(KEY, SHAPE, produce)
    assert raised.traceback and closed == [True]


def test_a_folder_that_may_only_be_read_serves_and_says_why_it_cannot_keep(store, tmp_path, monkeypatch):
    store.get(KEY, SHAPE, batches())
    before = path_of(tmp_path, "json").stat().st_mtime_ns

    def refuse(*args, **kwargs):
        raise PermissionError(30, "Read-only file system")

    for name in ("utime", "unlink", "rename", "open"):
        monkeypatch.setattr(os, name, refuse)
    assert store.find(KEY).tobytes() == rows().astype("float16").tobytes()
    assert store.has(KEY) and len(store.entries()) == 1 and store.room() == 10 * SIZE
    with pytest.raises(PermissionError, match="Read-only file system"):
        store.get(key(1), SHAPE, batches())
    monkeypatch.undo()
    assert path_of(tmp_path, "json").stat().st_mtime_ns == before


def test_a_full_disk_and_a_file_in_place_of_the_folder_pass_to_the_caller(store, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        store.get(KEY, SHAPE, batches())
    assert names(tmp_path) == []
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        PrefixCache(tmp_path / "file", 10 * SIZE).get(KEY, SHAPE, batches())
    assert PrefixCache(tmp_path / "file", 10 * SIZE).find(KEY) is None


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
    store = PrefixCache(tmp_path, 3 * SIZE)
    for number in (1, 2, 3):
        store.get(key(number), SHAPE, batches())
        used_at(tmp_path, key(number), number)
    assert [(one.key, one.bytes, one.last_used, one.shape) for one in store.entries()] == [
        (key(number), SIZE, float(number), SHAPE) for number in (1, 2, 3)
    ]
    start = time.time()
    assert store.find(key(1)) is not None  # used again
    assert store.entries()[-1].last_used >= start - 1
    assert store.has(key(2))  # asking is not using
    store.get(key(4), SHAPE, batches())
    assert names(tmp_path) == whole_entries(key(1), key(3), key(4))
    assert sum(one.bytes for one in store.entries()) == 3 * SIZE
    PrefixCache(tmp_path, SIZE).get(key(5), SHAPE, batches())  # the limit has been lowered
    assert names(tmp_path) == whole_entries(key(5))


def test_damaged_entries_count_and_go_when_their_time_comes(tmp_path):
    store = PrefixCache(tmp_path, 2 * SIZE)
    for number in (1, 2):
        store.get(key(number), SHAPE, batches())
        used_at(tmp_path, key(number), number)
    path_of(tmp_path, "json", key(1)).unlink()
    (tmp_path / "prefix" / "notes.txt").write_text("not ours")
    assert [(one.key, one.bytes) for one in store.entries()] == [(None, SIZE), (key(2), SIZE)]
    store.get(key(3), SHAPE, batches())
    assert names(tmp_path) == sorted([*whole_entries(key(2), key(3)), "notes.txt"])


def test_too_large_for_the_limit(tmp_path):
    with pytest.raises(TooLarge, match=r"activations at block4_pool take 0\.0 MiB; the limit is 0\.0 MiB"):
        PrefixCache(tmp_path, SIZE - 1).get(KEY, SHAPE, never)
    assert list(tmp_path.iterdir()) == []
    assert PrefixCache(tmp_path, SIZE).get(KEY, SHAPE, batches()).shape == SHAPE
    assert issubclass(TooLarge, OSError)


def test_too_large_for_the_disk(store, tmp_path, monkeypatch):
    for number in (1, 2):
        store.get(key(number), SHAPE, batches())
        used_at(tmp_path, key(number), number)
    usage = prefix_cache.shutil.disk_usage(tmp_path)

    def free(n_bytes: int) -> None:
        monkeypatch.setattr(prefix_cache.shutil, "disk_usage", lambda place: usage._replace(free=n_bytes))

    free(RESERVE + SIZE)
    assert store.room() == 3 * SIZE  # with both entries gone
    free(RESERVE - 3 * SIZE)
    assert store.room() == 0
    with pytest.raises(TooLarge, match=r"take 0\.0 MiB; there is room for 0\.0 MiB"):
        store.get(key(3), SHAPE, never)
    assert names(tmp_path) == whole_entries(key(1), key(2))  # nothing was deleted in vain
    free(RESERVE)
    store.get(key(3), SHAPE, batches())
    assert names(tmp_path) == whole_entries(key(2), key(3))


def test_room_before_anything_is_there(tmp_path):
    assert PrefixCache(tmp_path / "not" / "there", 1000).room() == 1000
    assert PrefixCache(tmp_path / "not" / "there", 1000).entries() == []
    assert PrefixCache(tmp_path / "not" / "there", 1000).clear() == 0
    assert list(tmp_path.iterdir()) == []


def _write_and_hang(tmp_path: Path, started) -> None:
    def produce():
        yield rows()[:4]
        started.set()
        time.sleep(60)

    PrefixCache(tmp_path, 3 * SIZE).get(KEY, SHAPE, produce)


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
    store = PrefixCache(tmp_path, 3 * SIZE)
    with a_writer_in_the_middle(tmp_path):
        assert store.find(KEY) is None and not store.has(KEY) and store.entries() == []
        assert store.room() == 2 * SIZE  # its final size counts from the start
        store.get(key(1), SHAPE, batches())
        store.get(key(2), SHAPE, batches())
        used_at(tmp_path, key(1), 1)
        store.get(key(3), SHAPE, batches())
        assert [one.key for one in store.entries()] == [key(2), key(3)]
        with pytest.raises(TooLarge):
            store.get(key(4), (40, 2, 3), never)  # fits in the limit, not beside it
        store.clear()  # what is being written stays
        assert [name.split(".")[0] for name in names(tmp_path)] == [KEY.digest()] * 2
    assert [Path(name).suffix for name in names(tmp_path)] in ([".tmp", ".lock"], [".lock", ".tmp"])
    assert store.find(KEY) is None
    assert store.room() == 3 * SIZE
    assert names(tmp_path) == []
    assert store.get(KEY, SHAPE, batches()).tobytes() == rows().astype("float16").tobytes()


def test_what_a_killed_writer_left_is_cleared_or_replaced(tmp_path):
    store = PrefixCache(tmp_path, 3 * SIZE)
    with a_writer_in_the_middle(tmp_path):
        pass
    assert store.clear() == SIZE
    assert names(tmp_path) == []
    with a_writer_in_the_middle(tmp_path):
        pass
    store.get(KEY, SHAPE, batches())
    assert names(tmp_path) == whole_entries(KEY)


def _get_slowly(tmp_path: Path, barrier, results) -> None:
    def produce():
        with (tmp_path / "count").open("a") as file:
            file.write("x")
        for batch in batches()():
            time.sleep(0.1)
            yield batch

    barrier.wait(30)
    results.put(PrefixCache(tmp_path, 3 * SIZE).get(KEY, SHAPE, produce).tobytes())


def test_many_processes_at_once_compute_once(tmp_path):
    barrier, results = FORK.Barrier(4), FORK.Queue()
    processes = [FORK.Process(target=_get_slowly, args=(tmp_path, barrier, results)) for _ in range(4)]
    for process in processes:
        process.start()
    assert {results.get(timeout=30) for _ in processes} == {rows().astype("float16").tobytes()}
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
    store = PrefixCache(tmp_path, 4 * SIZE)
    for number in range(first, first + 30):
        store.get(key(number % 40), SHAPE, batches(number % 40))


def test_the_limit_holds_with_many_writers(tmp_path):
    processes = [FORK.Process(target=_fill_up, args=(tmp_path, 10 * number)) for number in range(3)]
    for process in processes:
        process.start()
    most = 0
    while any(process.is_alive() for process in processes):
        most = max(most, arrays_in(tmp_path))
    assert most <= 4 * SIZE
    assert [process.exitcode for process in processes] == [0] * 3
    kept = PrefixCache(tmp_path, 0).entries()
    assert sum(one.bytes for one in kept) == 4 * SIZE
    for one in kept:
        found = PrefixCache(tmp_path, 0).find(one.key)
        assert found.tobytes() == rows(int(one.key.view)).astype("float16").tobytes()
    assert names(tmp_path) == whole_entries(*[one.key for one in kept])


def run(*words: object, **env: str):
    return CliRunner().invoke(command, [str(word) for word in words], env=env)


def test_list_and_clear(store, tmp_path, monkeypatch):
    assert run("list", "--cache-dir", tmp_path).output == f"no activations are kept in {tmp_path}\n"
    assert not (tmp_path / "prefix").exists()
    store.get(KEY, SHAPE, batches())
    store.get(replace(KEY, cut="[red]odd[/red]", view="3 of 4", dtype="float32"), SHAPE, batches())
    used_at(tmp_path, KEY, 1_700_000_000)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        done = run("list", HPO_CACHE_DIR=str(tmp_path))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.output.splitlines()]
    assert "backbone cut pixels data set split view dtype shape MiB last use".split() in lines
    row = "vgg19 block4_pool 32 dddddddddddd train float16 10 x 2 x 3 0.0 2023-11-15T07:13:20+09:00"
    assert lines.index(row.split()) < next(i for i, line in enumerate(lines) if "[red]odd[/red]" in line)
    assert done.output.splitlines()[-1] == f"2 entries, 0.0 MiB in {tmp_path}"
    path_of(tmp_path, "json").write_text("{")
    assert "(damaged)" in run("list", "--cache-dir", tmp_path).output
    path_of(tmp_path, "npy").write_bytes(bytes(3 * 2**20))
    assert run("clear", "--cache-dir", tmp_path).output == f"3.0 MiB freed in {tmp_path}\n"
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Missing argument"),
        (["remove"], "'remove' is not one of 'list', 'clear'"),
        (["list", "more"], "unexpected extra argument"),
        (["list", "--cache-dri", "x"], "--cache-dir"),
        (["list", "--cache-dir", __file__], "cannot be used: Not a directory"),
        (["clear", "--cache-dir", __file__], "cannot be used: Not a directory"),
    ],
)
def test_wrong_arguments_are_one_line(words, said):
    done = run(*words)
    assert done.exit_code == 2
    assert done.output.startswith("error: ") and done.output.count("\n") == 1 and said in done.output


def test_help_says_what_is_shown_and_deleted():
    done = run("--help")
    assert done.exit_code == 0
    for part in ("list", "clear", "--cache-dir", "HPO_CACHE_DIR", "~/.cache/keras-hpo", "least recently used"):
        assert part in done.output


def test_values_too_small_for_float16_are_refused(tmp_path):
    """Features of a deep network with random weights may be 1e-6: float16 would leave two or three digits of them."""
    store, rng = PrefixCache(tmp_path, 2**30), np.random.default_rng(0)
    for scale, fits in ((1.0, True), (1e-2, True), (1e-4, True), (1e-5, False), (1e-8, False), (1e-40, False)):
        key = dataclasses.replace(KEY, view=str(scale))
        values = np.maximum(rng.normal(0, scale, (10, 2, 3000)), 0).astype("float32")
        if fits:
            found = store.get(key, values.shape, lambda v=values: iter([v]))
            np.testing.assert_allclose(found, values, rtol=2**-11, atol=2**-25)  # half a unit in the last place
        else:
            with pytest.raises(FeatureOverflow, match="float16 would spoil values so small"):
                store.get(key, values.shape, lambda v=values: iter([v]))
            assert not store.has(key)
