"""What each worker of a cluster is given of its node."""

import pytest

from hpo.errors import BadField
from hpo.worker.cluster_start import Connection, Share


@pytest.mark.parametrize(
    ("gpus", "threads", "expected"),
    [
        (0.0, None, {}),
        (1.0, None, {}),
        (2.0, None, {}),
        (0.5, None, {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.450", "HPO_GPU_SHARE": "0.5"}),
        (0.25, None, {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.225", "HPO_GPU_SHARE": "0.25"}),
        (0.0, 4, {"OMP_NUM_THREADS": "4", "TF_NUM_INTRAOP_THREADS": "4", "TF_NUM_INTEROP_THREADS": "4"}),
    ],
)
def test_a_backend_keeps_to_the_share_of_its_worker(gpus, threads, expected):
    assert Share(1, gpus).variables(threads) == expected


def test_an_address_where_nothing_listens_is_told_at_once(configure):
    ray = pytest.importorskip("ray", reason="the package ray is not installed")
    assert not ray.is_initialized()
    with pytest.raises(BadField) as refused:
        Connection(configure(executor="ray", workers=1, address="127.0.0.1:1"))
    said = str(refused.value)
    assert said.startswith("address must be that of a running Ray cluster, of which this machine is a node, such as ")
    assert said.endswith(". Received: 127.0.0.1:1 ([Errno 111] Connection refused)")
