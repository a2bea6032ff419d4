"""The lock that keeps a machine quiet while one process measures."""

import subprocess
import sys
import threading
import time

from hpo.worker.machine_lock import MachineLock

TRAINER = """
import sys, time
from pathlib import Path
from hpo.worker.machine_lock import MachineLock
with MachineLock(Path(sys.argv[1])) as lock, lock.training():
    print("training", flush=True)
    while True:
        time.sleep(0.01)  # a step
        lock.give_way()
        print(time.monotonic(), flush=True)
"""


def test_no_step_of_others_is_trained_while_one_measures(tmp_path):
    trainers = [
        subprocess.Popen([sys.executable, "-c", TRAINER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        steps = [[], []]

        def read(trainer, found):
            for line in trainer.stdout:
                if line[0].isdigit():
                    found.append(float(line))

        for trainer in trainers:
            assert trainer.stdout.readline() == "training\n"
        readers = [threading.Thread(target=read, args=pair) for pair in zip(trainers, steps, strict=True)]
        for reader in readers:
            reader.start()
        time.sleep(0.2)
        with MachineLock(tmp_path) as lock, lock.measuring():  # not starved, though two others always hold the room
            begin = time.monotonic()
            time.sleep(0.3)
            end = time.monotonic()
        time.sleep(0.2)
    finally:
        for trainer in trainers:
            trainer.kill()
            trainer.wait()
    for reader in readers:
        reader.join()
    for found in steps:
        assert [moment for moment in found if moment < begin]
        assert [moment for moment in found if moment > end]
        # one step may have been under way: it ends, and then waits at the lock
        assert len([moment for moment in found if begin + 0.02 < moment < end]) == 0
