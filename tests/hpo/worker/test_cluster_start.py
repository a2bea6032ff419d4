"""What each worker of a cluster is given of its node."""

import pytest

from hpo.worker.cluster_start import Share


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
