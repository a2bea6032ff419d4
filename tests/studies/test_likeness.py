"""What is not like for like is said, and what is alike is not."""

import dataclasses

from studies.comparison import Studied
from studies.likeness import ALIKE, notes
from tests import made
from tests.studies.test_comparison import tested  # noqa: F401  (fixture)


def study(name, records=(), greyed=False, flattered=False, **mark):
    return Studied(name, made.fingerprint(**mark), records, greyed=greyed, flattered=flattered)


def test_nothing_differs(records):
    assert notes([study("a", records), study("b", records, backbone="vgg19")]) == (ALIKE,)


def test_each_thing_that_differs_has_a_sentence(records):
    space = made.fingerprint().space
    found = notes(
        [
            study("a", records),
            study("b", records, epochs=4),
            study(
                "c",
                records[:2],
                epochs=20,
                train_size=2000,
                max_latency_ms=5.0,
                max_gflops=1.5,
                versions={"keras": "1"},
                space={**space, "resolution": 28, "optimizer": ["adam", "sgd"], "unfreeze_depth": [5, 5]},
            ),
        ]
    )
    assert found == (
        "Training pictures differ: 100 in a and b; 2,000 in c.",
        "Epochs of a trial differ: at most 4 in a and b; at most 20 in c.",
        "Sides at which pictures are seen differ: 16, 32 px in a and b; 28 px in c.",
        "Ended trials differ: 6 in a and b; 2 in c.",
        "Budgets differ: none in a and b; 5 ms and 1.5 GFLOPs in c.",
        "Versions differ: keras 0 in a and b; keras 1 in c.",
        "Searched over different values: optimizer.",
    )


def test_where_networks_of_one_kind_end():
    space = {**made.fingerprint().space, "keep_blocks": [1, 18]}
    before = {"ends": "before projections"}
    old, new = study("old", space=space), study("new", space=space, **before)
    assert notes([old, new]) == ("Places where networks end differ: behind blocks in old; before projections in new.",)
    assert notes([old, study("other", space=space, backbone="vgg16", **before)]) == (ALIKE,)
    assert notes([study("whole"), study("all", **before)]) == (ALIKE,)  # it is not searched


def test_two_versions_of_a_users_code():
    first, second = (study(name, backbone="lab", source=f"lab.py:build {digit * 64}") for name, digit in ("ab", "b1"))
    assert notes([first, second]) == (
        f"Versions of the code of lab differ: lab.py:build, SHA-256 {'b' * 16}… in a; "
        f"lab.py:build, SHA-256 {'1' * 16}… in b.",
    )
    assert notes([first, study("c", backbone="lab", source=first.fingerprint.source)]) == (ALIKE,)


def test_grey_beside_colour():
    grey, colour = study("g", greyed=True, backbone="lenet5_grey"), study("c")
    assert notes([grey, colour]) == (
        "lenet5_grey (g) sees the brightness of the pictures alone; the others see their colours.",
    )
    other = dataclasses.replace(grey, name="h")
    assert notes([grey, other]) == ("lenet5_grey (g) and lenet5_grey (h) see the brightness of the pictures alone.",)


def test_weights_that_have_seen_the_pictures():
    assert notes([study("a", flattered=True), study("b", backbone="vgg19")]) == (
        "The weights that custom_cnn (a) begins with were trained on training pictures of this data set, validation "
        "pictures among them: validation accuracy looks better than it is. Test pictures were not among them.",
    )


def test_other_numbers_of_runs(tested, digits, make_record):  # noqa: F811
    labels, shares = digits
    record = make_record(0, 0.8, 1.0, 10)
    twice, once = (
        tested(study(name, [record]), labels, t0=(record.candidate, [shares(20)] * runs))
        for name, runs in (("twice", 2), ("once", 1))
    )
    assert notes([twice, once]) == ("Training runs of a final model differ: 2 runs in twice; 1 run in once.",)
