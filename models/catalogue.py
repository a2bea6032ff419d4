"""What is known of each backbone without importing Keras: plain numbers, in one table.

A test builds the networks and compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

IMAGENET = "ImageNet, by Keras"
TORCHVISION = "ImageNet, by torchvision"
PACKAGED = "in the package, trained on CIFAR-10"
UNPUBLISHED = "none published"
OWN = "by its own code"  # of a network of the user's own, of which nothing else is known until that is imported


@dataclass(frozen=True)
class Description:
    """What is known of a network without its classifier before Keras is imported; of the user's own, the name."""

    name: str
    application: str  # name in keras.applications; "" for one of models.zoo
    options: tuple[tuple[str, Any], ...]  # arguments of the application, e.g. (("alpha", 0.25),)
    preprocessing: str  # caffe, tf, torch, efficientnet, or none: inside the network already
    min_resolution: int  # pixels
    native_resolution: int  # pixels, at which the published weights were trained
    parameters: int  # without top, all of them
    stages: int  # stages that can be unfrozen, see models.cuts
    blocks: int  # blocks with each of which it may end, see models.blocks
    weights: str  # where pretrained weights come from

    @property
    def is_own(self) -> bool:
        """Whether it is the user's, of which nothing but the name is known here."""
        return self.weights == OWN


# name, application, alpha, preprocessing, min and native resolution, parameters without top, stages, blocks
_TABLE: tuple[tuple[str, str, float | None, str, int, int, int, int, int], ...] = (
    ("vgg16", "VGG16", None, "caffe", 32, 224, 14_714_688, 5, 13),
    ("vgg19", "VGG19", None, "caffe", 32, 224, 20_024_384, 5, 16),
    ("resnet50", "ResNet50", None, "caffe", 32, 224, 23_587_712, 5, 17),
    ("resnet101", "ResNet101", None, "caffe", 32, 224, 42_658_176, 5, 34),
    ("resnet152", "ResNet152", None, "caffe", 32, 224, 58_370_944, 5, 51),
    ("resnet50_v2", "ResNet50V2", None, "tf", 32, 224, 23_564_800, 5, 17),
    ("resnet101_v2", "ResNet101V2", None, "tf", 32, 224, 42_626_560, 5, 34),
    ("resnet152_v2", "ResNet152V2", None, "tf", 32, 224, 58_331_648, 5, 51),
    ("inception_v3", "InceptionV3", None, "tf", 75, 299, 21_802_784, 5, 16),
    ("inception_resnet_v2", "InceptionResNetV2", None, "tf", 75, 299, 54_336_736, 5, 49),
    ("xception", "Xception", None, "tf", 71, 299, 20_861_480, 5, 16),
    ("mobilenet_0.25", "MobileNet", 0.25, "tf", 32, 224, 218_544, 5, 14),
    ("mobilenet_0.50", "MobileNet", 0.5, "tf", 32, 224, 829_536, 5, 14),
    ("mobilenet_0.75", "MobileNet", 0.75, "tf", 32, 224, 1_832_976, 5, 14),
    ("mobilenet", "MobileNet", 1.0, "tf", 32, 224, 3_228_864, 5, 14),
    ("mobilenet_v2_0.35", "MobileNetV2", 0.35, "tf", 32, 224, 410_208, 5, 18),
    ("mobilenet_v2_0.50", "MobileNetV2", 0.5, "tf", 32, 224, 706_224, 5, 18),
    ("mobilenet_v2_0.75", "MobileNetV2", 0.75, "tf", 32, 224, 1_382_064, 5, 19),
    ("mobilenet_v2", "MobileNetV2", 1.0, "tf", 32, 224, 2_257_984, 5, 18),
    ("mobilenet_v2_1.3", "MobileNetV2", 1.3, "tf", 32, 224, 3_766_048, 5, 19),
    ("mobilenet_v2_1.4", "MobileNetV2", 1.4, "tf", 32, 224, 4_363_712, 5, 18),
    ("mobilenet_v3_small_0.75", "MobileNetV3Small", 0.75, "none", 32, 224, 583_160, 5, 14),
    ("mobilenet_v3_small", "MobileNetV3Small", 1.0, "none", 32, 224, 939_120, 5, 14),
    ("mobilenet_v3_large_0.75", "MobileNetV3Large", 0.75, "none", 32, 224, 1_808_736, 5, 17),
    ("mobilenet_v3_large", "MobileNetV3Large", 1.0, "none", 32, 224, 2_996_352, 5, 19),
    ("densenet121", "DenseNet121", None, "torch", 32, 224, 7_037_504, 5, 59),
    ("densenet169", "DenseNet169", None, "torch", 32, 224, 12_642_880, 5, 83),
    ("densenet201", "DenseNet201", None, "torch", 32, 224, 18_321_984, 5, 99),
    ("nasnet_mobile", "NASNetMobile", None, "tf", 32, 224, 4_269_716, 2, 2),
    ("nasnet_large", "NASNetLarge", None, "tf", 32, 331, 84_916_818, 2, 2),
    ("efficientnet_b0", "EfficientNetB0", None, "efficientnet", 32, 224, 4_049_571, 5, 17),
    ("efficientnet_b1", "EfficientNetB1", None, "efficientnet", 32, 240, 6_575_239, 5, 24),
    ("efficientnet_b2", "EfficientNetB2", None, "efficientnet", 32, 260, 7_768_569, 5, 24),
    ("efficientnet_b3", "EfficientNetB3", None, "efficientnet", 32, 300, 10_783_535, 5, 29),
    ("efficientnet_b4", "EfficientNetB4", None, "efficientnet", 32, 380, 17_673_823, 5, 33),
    ("efficientnet_b5", "EfficientNetB5", None, "efficientnet", 32, 456, 28_513_527, 5, 40),
    ("efficientnet_b6", "EfficientNetB6", None, "efficientnet", 32, 528, 40_960_143, 5, 48),
    ("efficientnet_b7", "EfficientNetB7", None, "efficientnet", 32, 600, 64_097_687, 5, 56),
    ("efficientnet_v2_b0", "EfficientNetV2B0", None, "none", 32, 224, 5_919_312, 5, 22),
    ("efficientnet_v2_b1", "EfficientNetV2B1", None, "none", 32, 240, 6_931_124, 5, 28),
    ("efficientnet_v2_b2", "EfficientNetV2B2", None, "none", 32, 260, 8_769_374, 5, 29),
    ("efficientnet_v2_b3", "EfficientNetV2B3", None, "none", 32, 300, 12_930_622, 5, 34),
    ("efficientnet_v2_s", "EfficientNetV2S", None, "none", 32, 384, 20_331_360, 5, 42),
    ("efficientnet_v2_m", "EfficientNetV2M", None, "none", 32, 480, 53_150_388, 5, 59),
    ("efficientnet_v2_l", "EfficientNetV2L", None, "none", 32, 480, 117_746_848, 5, 81),
    ("convnext_tiny", "ConvNeXtTiny", None, "none", 32, 224, 27_820_128, 4, 22),
    ("convnext_small", "ConvNeXtSmall", None, "none", 32, 224, 49_454_688, 4, 40),
    ("convnext_base", "ConvNeXtBase", None, "none", 32, 224, 87_566_464, 4, 40),
    ("convnext_large", "ConvNeXtLarge", None, "none", 32, 224, 196_230_336, 4, 40),
    ("convnext_xlarge", "ConvNeXtXLarge", None, "none", 32, 224, 348_147_968, 4, 40),
    ("alexnet", "", None, "torch", 32, 224, 2_469_696, 3, 5),
    ("googlenet", "", None, "tf", 32, 224, 5_614_464, 5, 12),
    ("resnet18", "", None, "torch", 28, 224, 11_186_112, 5, 9),
    ("resnet34", "", None, "torch", 28, 224, 21_301_696, 5, 17),
    ("zfnet", "", None, "torch", 32, 224, 3_726_464, 3, 5),
    ("lenet5", "", None, "none", 28, 32, 50_692, 3, 3),
    ("lenet5_grey", "", None, "none", 28, 32, 50_692, 3, 3),
    ("lenet5_colour", "", None, "none", 28, 32, 50_992, 3, 3),
    ("custom_cnn", "", None, "tf", 8, 32, 315_872, 4, 4),
)
# Where pretrained weights come from, if not from keras.applications.
_WEIGHTS = {
    **dict.fromkeys(("alexnet", "googlenet", "resnet18", "resnet34"), TORCHVISION),
    **dict.fromkeys(("zfnet", "lenet5", "lenet5_grey", "lenet5_colour"), UNPUBLISHED),
    "custom_cnn": PACKAGED,
}


def _backbone(row: tuple[str, str, float | None, str, int, int, int, int, int]) -> Description:
    name, application, alpha, preprocessing, min_resolution, native_resolution, parameters, stages, blocks = row
    options = () if alpha is None else (("alpha", alpha),)
    weights = IMAGENET if application else _WEIGHTS[name]
    return Description(
        name,
        application,
        options,
        preprocessing,
        min_resolution,
        native_resolution,
        parameters,
        stages,
        blocks,
        weights,
    )


BACKBONES: dict[str, Description] = {row[0]: _backbone(row) for row in _TABLE}
