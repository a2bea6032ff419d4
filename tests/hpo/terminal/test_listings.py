"""The tables of backbones and data sets show every one of them, unfolded, in a pipe."""

from datasets.registry import DATASETS
from hpo.terminal.listings import print_backbones, print_datasets
from models.catalogue import BACKBONES


def rows(text):
    return {line.split()[0]: line for line in text.splitlines() if line.strip()}


def test_backbones(capsys):
    print_backbones()
    shown = rows(capsys.readouterr().out)
    assert set(BACKBONES) <= set(shown)
    assert shown["vgg19"].split()[:5] == ["vgg19", "20,024,384", "32", "224", "5"]
    assert "ImageNet" in shown["vgg19"]


def test_datasets(capsys):
    print_datasets()
    text = capsys.readouterr().out
    shown = rows(text)
    assert set(DATASETS) <= set(shown)
    assert "cifar10:cat,dog" in text and "fake:shape=64x64x3,classes=10,size=500" in text
    assert shown["cifar10"].split()[:5] == ["cifar10", "10", "32x32x3", "50,000", "10,000"]
