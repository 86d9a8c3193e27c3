"""Weights of MONAI's network that find bright spots, and volumes that hold one."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from apps.nodule.data.volume import Volume
from apps.nodule.models.retinanet import build_network

ON_THE_WAY = ("body.conv1", "downsample.0", "inner_blocks.0", "layer_blocks.0")


def spot_finder() -> dict[str, Tensor]:
    """Hand-made weights that turn the network into a finder of bright spots, saved by nobody's training."""
    network = build_network()
    for value in network.state_dict().values():
        value.zero_()
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm3d):
            module.weight.data.fill_(1.0)
            module.running_var.fill_(1.0)
        elif isinstance(module, nn.GroupNorm):
            module.weight.data.fill_(1.0)
        elif isinstance(module, nn.Conv3d) and name.startswith("classification_head.conv."):
            module.weight.data[0, 0] = 1 / 27  # a blur, so that the middle of the spot is its peak
        elif isinstance(module, nn.Conv3d) and name.endswith(ON_THE_WAY):
            middle = tuple(size // 2 for size in module.kernel_size)
            module.weight.data[(0, 0, *middle)] = 1.0
    network.classification_head.cls_logits.bias.data.fill_(-6.0)
    network.classification_head.cls_logits.weight.data[0, 0, 1, 1, 1] = 0.25
    # MONAI's anchors lie (2, 2, 1) voxels beyond the middle of what a cell sees; training learns the way back
    network.regression_head.bbox_reg.bias.data[:3] = torch.tensor([-2 / 6, -2 / 8, -1 / 4])
    return network.state_dict()


def oblique() -> np.ndarray:
    """Slices feet to head, tilted 12° about x and 8° about z, as a positioning of the patient."""
    a, b = np.deg2rad([12.0, 8.0])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return about_x @ about_z


def affine_of(direction: str, spacing_dhw: tuple[float, float, float]) -> np.ndarray:
    axes = np.zeros((3, 3))  # columns: the LPS steps of d, h, w
    axes[2, 0], axes[1, 1], axes[0, 2] = spacing_dhw
    if direction == "flipped":
        axes[2, 0] *= -1
        axes[0, 2] *= -1
    if direction == "oblique":
        axes = oblique() @ axes
    if direction == "coronal":
        axes = axes[:, [1, 0, 2]]
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = (-31.0, 57.0, -203.0)
    return affine


DIRECTIONS = ("axial", "flipped", "oblique", "coronal")


def volume_with_ball(
    direction: str, shape: tuple[int, int, int], at: tuple[float, float, float]
) -> tuple[Volume, np.ndarray]:
    """A ball of 9 mm, 40 HU, in lung of -850 HU, its centre at index `at`; and that centre in LPS mm."""
    affine = affine_of(direction, (1.4, 0.8, 0.9))
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    centre = affine[:3, :3] @ np.array(at) + affine[:3, 3]
    hu = np.where(np.linalg.norm(world - centre, axis=-1) < 4.5, 40, -850).astype(np.int16)
    return Volume(hu, affine, uid="ball"), centre
