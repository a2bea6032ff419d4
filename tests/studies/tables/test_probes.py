"""Maps as rows and as a table."""

import csv
import io

from studies.tables.probes import COLUMNS, describe, front_table, rows, subset, to_csv
from tests import made

WHOLE = made.probe(0, 32, 0.4)
SHORT = made.probe(12, 32, 0.6)
MAP = made.network_map(WHOLE, SHORT)


def test_a_row_for_each_probe():
    first, second = rows([MAP])
    assert tuple(first) == COLUMNS
    assert (first["state"], first["on_front"], first["keep_blocks"], first["blocks"]) == ("probe", False, 18, 18)
    assert (second["on_front"], second["keep_blocks"], second["val_accuracy"], second["flops"]) == (
        True, 12, 0.6, 12_000_000,
    )  # fmt: skip
    assert second["val_accuracy_low"] < 0.6 < second["val_accuracy_high"]
    read = list(csv.DictReader(io.StringIO(to_csv([MAP]))))
    assert [row["keep_blocks"] for row in read] == ["18", "12"]


def test_in_a_line():
    assert describe(SHORT) == (
        "val_accuracy 0.600 with the first 12 of 18 blocks of mobilenet_v2_0.35 frozen, 12 MFLOPs, 1.2 ms"
    )
    assert describe(WHOLE).startswith("val_accuracy 0.400 with all 18 blocks of mobilenet_v2_0.35 frozen, 18 MFLOPs")


def test_the_front_as_a_table():
    table = front_table([MAP])
    assert table.caption == "Map: the 1 of 2 frozen places that no other one beats; latency: LiteRT, 1 thread"
    assert table.rows == (("32", "12 of 18", "0.600 (0.569-0.630)", "12", "1.2 (1.19-1.21)", "318 k"),)


def test_of_several_networks_each_is_named():
    other = made.network_map(made.probe(2, 32, 0.3, backbone="custom_cnn", blocks=4), backbone="custom_cnn")
    table = front_table([MAP, other])
    assert [row[0] for row in table.rows] == ["custom_cnn", "mobilenet_v2_0.35"]
    assert [row["on_front"] for row in rows([MAP, other])] == [False, True, True]


def test_a_subset_is_said():
    assert subset(MAP) == ""
    assert subset(made.network_map(SHORT, of_train=40_000, of_val=10_000)) == (
        "mobilenet_v2_0.35: probes were fitted on 4,000 of 40,000 training pictures and measured on 1,000 of 10,000 "
        "validation pictures, stratified subsets"
    )
