"""Our feature extractor against MONAI's own BackboneWithFPN code: same weights, maps, layer names."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from monai.networks.blocks import backbone_fpn_utils
from monai.networks.nets.resnet import resnet50
from torch import Tensor, nn

from apps.nodule.models.backbone import ResNetFPN


class LayerGetter(nn.ModuleDict):
    """Stands in for torchvision.models._utils.IntermediateLayerGetter, which MONAI's code asks for.

    Written from its documented behaviour: the children of the model in their order, up to the last one asked
    for; each asked-for output is returned under its new name.
    """

    def __init__(self, model: nn.Module, return_layers: dict[str, str]) -> None:
        names = [name for name, _ in model.named_children()]
        last = max(names.index(name) for name in return_layers)
        super().__init__({name: getattr(model, name) for name in names[: last + 1]})
        self.return_layers = return_layers

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        out = {}
        for name, module in self.items():
            x = module(x)
            if name in self.return_layers:
                out[self.return_layers[name]] = x
        return out


def monai_extractor(monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """What MONAI's resnet_fpn_feature_extractor(backbone, 3, False, [1, 2], None) of the bundle builds."""
    stand_in = SimpleNamespace(_utils=SimpleNamespace(IntermediateLayerGetter=LayerGetter))
    monkeypatch.setattr(backbone_fpn_utils, "torchvision_models", stand_in)
    backbone = resnet50(spatial_dims=3, n_input_channels=1, conv1_t_stride=[2, 2, 1], conv1_t_size=[7, 7, 7])
    return backbone_fpn_utils._resnet_fpn_extractor(backbone, 3, trainable_layers=5, returned_layers=[1, 2])


def randomise(module: nn.Module, seed: int) -> None:
    """Give every weight and every running statistic a random value, so that none can be left out unseen."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if name.endswith("running_var"):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
        elif value.is_floating_point() and value.dim() > 1:
            fan_in = value[0].numel()
            value.copy_(torch.randn(value.shape, generator=generator) / fan_in**0.5)
        elif value.is_floating_point():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.3 + name.endswith("weight"))


def test_maps_and_names_equal_monais_own(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = ResNetFPN().eval(), monai_extractor(monkeypatch).eval()
    randomise(ours, seed=1)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    image = torch.rand((1, 1, 48, 32, 8), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        got, wanted = ours(image), theirs(image)
    assert list(got) == list(wanted) == ["0", "1", "pool"]
    assert [tuple(got[name].shape[2:]) for name in got] == [(12, 8, 4), (6, 4, 2), (3, 2, 1)]
    for name in wanted:
        assert wanted[name].abs().max() > 0.1
        torch.testing.assert_close(got[name], wanted[name], rtol=0, atol=1e-5)


def test_it_says_how_wide_its_maps_are() -> None:
    assert ResNetFPN.out_channels == 256
