"""The four networks in plain torch, with the names of torchvision's modules, written from its source (0.28).

What `models.weights.torchvision` maps is compared with these; `benchmarks/torchvision_parity.py` does the same with
torchvision itself, which cannot be installed everywhere. torch is needed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
INCEPTION = {  # in, 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, projection
    "3a": (192, 64, 96, 128, 16, 32, 32), "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64), "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64), "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128), "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}  # fmt: skip


class AlexNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        )  # fmt: skip
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(),
            nn.Dropout(0.5), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000),
        )  # fmt: skip

    def maps(self, x: Tensor) -> Tensor:
        return self.features(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.maps(x)), 1))


class BasicConv2d(nn.Module):
    def __init__(self, n_in: int, n_out: int, **options: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, bias=False, **options)
        self.bn = nn.BatchNorm2d(n_out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    def __init__(self, n_in: int, one: int, reduce3: int, three: int, reduce5: int, five: int, projection: int) -> None:
        super().__init__()
        self.branch1 = BasicConv2d(n_in, one, kernel_size=1)
        self.branch2 = nn.Sequential(
            BasicConv2d(n_in, reduce3, kernel_size=1), BasicConv2d(reduce3, three, kernel_size=3, padding=1)
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(n_in, reduce5, kernel_size=1), BasicConv2d(reduce5, five, kernel_size=3, padding=1)
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True), BasicConv2d(n_in, projection, kernel_size=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Auxiliary(nn.Module):
    """Its tensors are in the published file; it does not run at inference."""

    def __init__(self, n_in: int) -> None:
        super().__init__()
        self.conv = BasicConv2d(n_in, 128, kernel_size=1)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, 1000)


class GoogLeNet(nn.Module):
    """With `transform_input`, as torchvision builds it for its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = BasicConv2d(3, 64, kernel_size=7, stride=2, padding=3)
        self.conv2 = BasicConv2d(64, 64, kernel_size=1)
        self.conv3 = BasicConv2d(64, 192, kernel_size=3, padding=1)
        for name, filters in INCEPTION.items():
            setattr(self, f"inception{name}", Inception(*filters))
        self.aux1, self.aux2 = Auxiliary(512), Auxiliary(528)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(1024, 1000)

    def maps(self, x: Tensor) -> Tensor:
        channels = [
            x[:, i : i + 1] * (deviation / 0.5) + (mean - 0.5) / 0.5
            for i, (mean, deviation) in enumerate(zip(MEAN, DEVIATION, strict=True))
        ]
        x = F.max_pool2d(self.conv1(torch.cat(channels, 1)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.conv3(self.conv2(x)), 3, 2, ceil_mode=True)
        for name in INCEPTION:
            x = getattr(self, f"inception{name}")(x)
            if name == "3b":
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            if name == "4e":
                x = F.max_pool2d(x, 2, 2, ceil_mode=True)
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.dropout(self.maps(x).mean((2, 3))))


class BasicBlock(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, n_blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        n_in = 64
        for stage, (n, n_out) in enumerate(zip(n_blocks, (64, 128, 256, 512), strict=True), start=1):
            first = BasicBlock(n_in, n_out, 1 if stage == 1 else 2)
            setattr(self, f"layer{stage}", nn.Sequential(first, *(BasicBlock(n_out, n_out, 1) for _ in range(n - 1))))
            n_in = n_out
        self.fc = nn.Linear(512, 1000)

    def maps(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, padding=1)
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.maps(x).mean((2, 3)))


def reference(name: str, seed: int = 0) -> nn.Module:
    """One of the four in inference mode, with weights from `randomise`."""
    builders = {
        "alexnet": AlexNet,
        "googlenet": GoogLeNet,
        "resnet18": lambda: ResNet((2, 2, 2, 2)),
        "resnet34": lambda: ResNet((3, 4, 6, 3)),
    }
    return randomise(builders[name](), seed)


def randomise(model: nn.Module, seed: int) -> nn.Module:
    """Random weights that keep activations from growing, and statistics of batch norm unlike those it begins with."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor: Tensor, low: float, high: float) -> None:
        tensor.uniform_(low, high, generator=generator)

    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                fan_in = module.weight[0].numel()
                gain = 2 if isinstance(module, nn.Conv2d) else 1
                module.weight.normal_(0, (gain / fan_in) ** 0.5, generator=generator)
                if module.bias is not None:
                    uniform(module.bias, -0.1, 0.1)
            elif isinstance(module, nn.BatchNorm2d):
                closes_block = name.endswith("bn2")  # of a residual block: what it adds is kept small
                uniform(module.weight, *((0.1, 0.3) if closes_block else (0.65, 1.15)))
                uniform(module.bias, -0.2, 0.2)
                uniform(module.running_mean, -0.2, 0.2)
                uniform(module.running_var, 0.5, 1.5)
    return model.eval()


def normalised(pictures: Tensor) -> Tensor:
    """(n, h, w, 3), RGB from 0 to 255 -> (n, 3, h, w) as torchvision's transforms give it to all four."""
    mean, deviation = torch.tensor(MEAN), torch.tensor(DEVIATION)
    return ((pictures / 255 - mean) / deviation).permute(0, 3, 1, 2)
