"""Inception-v3 as the npm package nsfwjs carries it, without TensorFlow: features and five classes.

These are not the weights that the standard FID and KID are defined on: nsfwjs trained the network on from ImageNet's
for five classes of drawings and photographs, and stores its weights in eight bits. Figures on its features compare
with each other only, so whatever shows one names the network: NETWORK.
Architecture: Szegedy et al. 2015, arXiv:1512.00567, in the layout of Keras. Weights: MIT licence.
Legend: N pictures, H rows, W columns, C channels, F = 2048 features, K = 5 classes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from apps.imagegen.data.packages import INCEPTION, archive_of, files_of
from apps.imagegen.reasons import PACKAGE

NETWORK = f"nsfwjs {INCEPTION.version}'s Inception-v3"
CLASSES = ("drawing", "hentai", "neutral", "porn", "sexy")
WIDTH = 2048
EDGE = 299
_BATCH = 16
_EPSILON = 1e-3  # of every batch normalisation
_MODULE = re.compile(r'\.exports="([A-Za-z0-9+/=]*)"')
_WEIGHT = re.compile(
    r'\{name:"([^"]+)",shape:\[([\d,]*)\],dtype:"float32",quantization:\{min:([^,]+),scale:([^,]+),dtype:"uint8"\}\}'
)


class Inception(nn.Module):
    """The network; batch normalisations are folded into the convolutions before them."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            _conv(3, 32, 3, stride=2, same=False),
            _conv(32, 32, 3, same=False),
            _conv(32, 64, 3),
            nn.MaxPool2d(3, 2),
            _conv(64, 80, 1),
            _conv(80, 192, 3, same=False),
            nn.MaxPool2d(3, 2),
            _narrow(192, 32),
            _narrow(256, 64),
            _narrow(288, 64),
            Branches(
                _conv(288, 384, 3, stride=2, same=False),
                nn.Sequential(_conv(288, 64, 1), _conv(64, 96, 3), _conv(96, 96, 3, stride=2, same=False)),
                nn.MaxPool2d(3, 2),
            ),
            _long(128),
            _long(160),
            _long(160),
            _long(192),
            Branches(
                nn.Sequential(_conv(768, 192, 1), _conv(192, 320, 3, stride=2, same=False)),
                nn.Sequential(
                    _conv(768, 192, 1),
                    _conv(192, 192, (1, 7)),
                    _conv(192, 192, (7, 1)),
                    _conv(192, 192, 3, stride=2, same=False),
                ),
                nn.MaxPool2d(3, 2),
            ),
            _wide(1280),
            _wide(2048),
        )
        self.head = nn.Sequential(
            nn.Linear(WIDTH, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, len(CLASSES))
        )

    @torch.inference_mode()
    def features(self, rgb_NHWC: np.ndarray | Tensor) -> Tensor:
        """Return the pooled features of uint8 pictures of any size, (N, F) float32."""
        parts = [self._pooled(part) for part in torch.as_tensor(rgb_NHWC).split(_BATCH)]
        return torch.cat(parts) if parts else torch.zeros(0, WIDTH)

    def _pooled(self, rgb_NHWC: Tensor) -> Tensor:
        # as nsfwjs sees a picture: 0 … 1, corners on corners
        rgb_NCHW = rgb_NHWC.permute(0, 3, 1, 2).float() / 255.0
        seen_NCHW = F.interpolate(rgb_NCHW, size=(EDGE, EDGE), mode="bilinear", align_corners=True)
        pooled: Tensor = self.trunk(seen_NCHW.contiguous(memory_format=torch.channels_last)).mean(dim=(2, 3))
        return pooled


class Branches(nn.Module):
    """Several ways through a block, their channels one behind another."""

    def __init__(self, *ways: nn.Module) -> None:
        super().__init__()
        self.ways = nn.ModuleList(ways)

    def forward(self, x_NCHW: Tensor) -> Tensor:  # noqa: D102
        return torch.cat([way(x_NCHW) for way in self.ways], dim=1)


def load_inception(cache: Path) -> Inception:
    """Return the network with nsfwjs's weights, from its archive below `cache`, fetched where it is not there.

    Raises InputError as `archive_of` does, and package_incomplete where the archive holds another network.
    """
    files = files_of(archive_of(INCEPTION, cache), "dist/models/inception_v3", ".js")
    net = Inception()
    fill(net, weights_of({name: data.decode("ascii") for name, data in files.items()}))
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net.eval().requires_grad_(requires_grad=False)


def weights_of(script_by_name: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return the weights by Keras's names, float32, of the scripts that TensorFlow.js's model was packed into.

    Each shard is base64 of bytes; a weight w of a byte q is q · scale + min (tfjs-core, io/io_utils.ts). Raises
    InputError package_incomplete where a script, or a part of the weights, is missing.
    """
    shards = sorted(name for name in script_by_name if "shard" in name)
    packed = [_MODULE.search(script_by_name[name]) for name in shards]
    listed = _WEIGHT.findall(script_by_name.get("model.min.js", ""))
    data = b"".join(base64.b64decode(match[1]) for match in packed if match)
    weight_by_name, offset = {}, 0
    for name, shape_text, low, scale in listed:
        shape = tuple(map(int, shape_text.split(",")))
        size = int(np.prod(shape))
        byte = np.frombuffer(data[offset : offset + size], dtype=np.uint8).astype(np.float64)
        if len(byte) < size:
            break
        weight_by_name[name] = (byte * float(scale) + float(low)).astype(np.float32).reshape(shape)
        offset += size
    if not listed or len(weight_by_name) < len(listed) or offset != len(data):
        raise PACKAGE("package_incomplete", archive=INCEPTION.archive)
    return weight_by_name


@torch.no_grad()
def fill(net: Inception, weight_by_name: Mapping[str, np.ndarray]) -> None:
    """Put Keras's weights into the network; its convolutions are numbered in the order in which they are built."""
    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    for number, conv in enumerate(convolutions, start=1):
        norm = f"batch_normalization_{number}"
        kernel_OIhw = _tensor(weight_by_name, f"conv2d_{number}/kernel").permute(3, 2, 0, 1)
        deviation_O = (_tensor(weight_by_name, f"{norm}/moving_variance") + _EPSILON).sqrt()
        mean_O, beta_O = (_tensor(weight_by_name, f"{norm}/{name}") for name in ("moving_mean", "beta"))
        _set(conv, kernel_OIhw / deviation_O[:, None, None, None], beta_O - mean_O / deviation_O)
    dense = [module for module in net.modules() if isinstance(module, nn.Linear)]
    for number, linear in enumerate(dense, start=1):
        kernel_IO = _tensor(weight_by_name, f"dense_{number}/kernel")
        _set(linear, kernel_IO.T, _tensor(weight_by_name, f"dense_{number}/bias"))


def _tensor(weight_by_name: Mapping[str, np.ndarray], name: str) -> Tensor:
    if name not in weight_by_name:
        raise PACKAGE("package_incomplete", archive=INCEPTION.archive)
    return torch.from_numpy(weight_by_name[name])


def _set(layer: nn.Conv2d | nn.Linear, weight: Tensor, bias: Tensor) -> None:
    assert layer.bias is not None
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)


def _conv(
    channels: int, out: int, kernel: int | tuple[int, int], *, stride: int = 1, same: bool = True
) -> nn.Sequential:
    """Return a convolution with its ReLU. same: zeros around, so that rows and columns stay."""
    rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (rows // 2, columns // 2) if same else 0
    return nn.Sequential(nn.Conv2d(channels, out, (rows, columns), stride, padding), nn.ReLU())


def _pool(channels: int, out: int) -> nn.Sequential:
    # TensorFlow's mean leaves the zeros around a picture out
    return nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), _conv(channels, out, 1))


def _narrow(channels: int, pooled: int) -> Branches:
    """Return a block of figure 5 of the paper: at 35 × 35."""
    return Branches(
        _conv(channels, 64, 1),
        nn.Sequential(_conv(channels, 48, 1), _conv(48, 64, 5)),
        nn.Sequential(_conv(channels, 64, 1), _conv(64, 96, 3), _conv(96, 96, 3)),
        _pool(channels, pooled),
    )


def _long(inner: int) -> Branches:
    """Return a block of figure 6: at 17 × 17, 7 × 7 taken apart."""
    return Branches(
        _conv(768, 192, 1),
        nn.Sequential(_conv(768, inner, 1), _conv(inner, inner, (1, 7)), _conv(inner, 192, (7, 1))),
        nn.Sequential(
            _conv(768, inner, 1),
            _conv(inner, inner, (7, 1)),
            _conv(inner, inner, (1, 7)),
            _conv(inner, inner, (7, 1)),
            _conv(inner, 192, (1, 7)),
        ),
        _pool(768, 192),
    )


def _wide(channels: int) -> Branches:
    """Return a block of figure 7: at 8 × 8, with widened banks of filters."""
    return Branches(
        _conv(channels, 320, 1),
        nn.Sequential(_conv(channels, 384, 1), Branches(_conv(384, 384, (1, 3)), _conv(384, 384, (3, 1)))),
        nn.Sequential(
            _conv(channels, 448, 1),
            _conv(448, 384, 3),
            Branches(_conv(384, 384, (1, 3)), _conv(384, 384, (3, 1))),
        ),
        _pool(channels, 192),
    )
