"""Studies without Keras, as the tests of `hpo` have them."""

from tests.hpo.conftest import configure, fakes, recorder  # noqa: F401
