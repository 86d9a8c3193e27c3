"""3-D ResNet50 with a feature pyramid, layer names as in MONAI's public lung-nodule bundle.

MONAI builds the same by `resnet_fpn_feature_extractor`, which needs torchvision; only the walk through the
ResNet (attribute `body`) is written here, the layers are MONAI's.
Sources: He et al. 2016, doi:10.1109/CVPR.2016.90; Lin et al. 2017, doi:10.1109/CVPR.2017.106.
"""

from __future__ import annotations

from monai.networks.blocks.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool
from monai.networks.nets.resnet import resnet50
from torch import Tensor, nn

CONV1_STRIDE = (2, 2, 1)
PYRAMID_CHANNELS = 256
LAYER1_CHANNELS, LAYER2_CHANNELS = 256, 512


class Body(nn.ModuleDict):
    """The front of a ResNet, conv1 to layer2; gives what layer1 and layer2 put out."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return for an image (B, 1, X, Y, Z) layer1's output, 256 channels, as "0" and layer2's, 512, as "1"."""
        for name in ("conv1", "bn1", "act", "maxpool"):
            x = self[name](x)
        first = self["layer1"](x)
        return {"0": first, "1": self["layer2"](first)}


class ResNetFPN(nn.Module):
    """Image (B, 1, X, Y, Z) to three feature maps of 256 channels at strides (4, 4, 2), (8, 8, 4), (16, 16, 8).

    X and Y must be divisible by 16, Z by 8.
    """

    out_channels = PYRAMID_CHANNELS

    def __init__(self) -> None:
        super().__init__()
        resnet = resnet50(
            spatial_dims=3, n_input_channels=1, conv1_t_stride=CONV1_STRIDE, conv1_t_size=(7, 7, 7)
        )
        self.body = Body(
            {name: getattr(resnet, name) for name in ("conv1", "bn1", "act", "maxpool", "layer1", "layer2")}
        )
        self.fpn = FeaturePyramidNetwork(
            spatial_dims=3,
            in_channels_list=[LAYER1_CHANNELS, LAYER2_CHANNELS],
            out_channels=PYRAMID_CHANNELS,
            extra_blocks=LastLevelMaxPool(3),
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return feature maps by name, finest first: "0", "1", "pool"."""
        features: dict[str, Tensor] = self.fpn(self.body(x))
        return features
