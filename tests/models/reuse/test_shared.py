"""models/reuse/shared.py: a cache that two people use."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from hpo.worker.machine_lock import MachineLock
from hpo.worker.memory import Memory
from models.reuse.locks import locked
from models.reuse.shared import make_folder
from models.reuse.store import Store

ANNE, BOB, TEAM = 20_001, 20_002, 20_000
KEY, SHAPE = {"cut": "block 3"}, (4, 2)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two people")


@contextlib.contextmanager
def being(user: int, umask: int = 0o022) -> Iterator[None]:
    """In the group of both."""
    groups, before = os.getgroups(), os.umask(umask)
    os.setgroups([])
    os.setegid(TEAM)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
        os.umask(before)


@pytest.fixture
def cache() -> Iterator[Path]:
    """As docs/reuse_and_stopping.md says: writable for the group, which it hands on."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to all others
        folder = Path(name)
        os.chown(folder, 0, TEAM)
        folder.chmod(0o2770)
        yield folder


def fill(store: Store, value: float = 1.0) -> tuple[float, bool]:
    """The entry's first value, and whether it had to be computed."""
    computed = []

    def produce() -> Iterator[np.ndarray]:
        computed.append(True)
        yield np.full(SHAPE, value, "float32")

    return float(store.get(KEY, SHAPE, "float32", produce, "features").array[0, 0]), bool(computed)


@needs_root
@pytest.mark.parametrize("umask", [0o002, 0o022, 0o027])
def test_what_one_has_computed_the_other_uses(cache, umask):
    store = Store(cache / "features", 1 << 20)
    with being(ANNE, umask):
        assert fill(store) == (1.0, True)
        (file,) = store.folder.glob("*.npy")
        assert stat.S_IMODE(file.stat().st_mode) == 0o644 & ~umask
    with being(BOB, umask):
        assert store.has(KEY) and fill(store) == (1.0, False)


@needs_root
def test_who_lets_nobody_read_keeps_it_for_himself(cache):
    store = Store(cache / "features", 1 << 20)
    with being(ANNE, 0o077):
        assert fill(store) == (1.0, True)
    with being(BOB):
        assert not store.has(KEY) and fill(store, 2.0) == (2.0, True)
    with being(ANNE):
        assert fill(store) == (2.0, False)


@needs_root
@pytest.mark.parametrize("kind", ["npy", "json"])
@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_what_others_may_have_changed_is_computed_again(cache, kind, mode):
    store = Store(cache / "features", 1 << 20)
    with being(ANNE):
        fill(store)
        (file,) = store.folder.glob(f"*.{kind}")
        file.chmod(mode)
        assert fill(store) == (1.0, False)  # it is her own
    with being(BOB):
        assert not store.has(KEY)
        assert fill(store, 2.0) == (2.0, True)


@needs_root
def test_room_is_made_at_the_expense_of_both(cache):
    store = Store(cache / "features", 200)
    with being(ANNE):
        fill(store)
    with being(BOB):
        store.get({"cut": "block 4"}, SHAPE, "float32", lambda: iter([np.ones(SHAPE, "float32")]), "features")
        assert not store.has(KEY) and len(store.entries()) == 1
        assert store.clear() > 0 and list(store.folder.iterdir()) == []


@needs_root
def test_both_wait_for_each_other_to_measure_and_remember_it(cache):
    def remember(value: float) -> Callable[[], None]:
        return lambda: Memory(cache, {"cpu": "x"}).remember("a", {"cost": value})

    for user, value in ((ANNE, 1.0), (BOB, 2.0)):
        with being(user, 0o002), MachineLock(cache) as lock, lock.measuring():
            remember(value)()
    with being(ANNE):
        assert Memory(cache, {"cpu": "x"}).recall("a") == {"cost": 2.0}
        (file,) = (cache / "latency").iterdir()
    with being(BOB):
        file.chmod(0o666)
    with being(ANNE):
        assert Memory(cache, {"cpu": "x"}).recall("a") is None


@needs_root
def test_who_lets_nobody_read_keeps_nobody_from_measuring(cache):
    store = Store(cache / "features", 1 << 20)
    for user in (ANNE, BOB):
        with being(user, 0o077), MachineLock(cache) as lock, lock.measuring():
            fill(store)
    with being(ANNE, 0o077), locked(cache / "features" / "x.lock"):
        pass
    with being(ANNE, 0o077):
        lock = locked(cache / "features" / "y.lock")
        lock.__enter__()
    with being(BOB), locked(cache / "features" / "y.lock", wait=False) as ours:
        assert not ours
    with being(ANNE, 0o077):
        lock.__exit__(None, None, None)


@pytest.mark.parametrize(("above", "made"), [(0o755, 0o755), (0o700, 0o755), (0o2770, 0o2775), (0o1777, 0o775)])
def test_a_folder_gives_the_group_what_the_one_above_does_and_all_others_nothing_more(tmp_path, above, made):
    before = os.umask(0o022)
    try:
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache").chmod(above)
        make_folder(tmp_path / "cache" / "latency")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "cache" / "latency").stat().st_mode) == made
