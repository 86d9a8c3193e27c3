"""Weights come back from their file; a file that is missing, damaged or of another network is reported in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from apps.risk.models.network_file import NETWORK, load_weights, read_network, write_network
from core.errors import InputError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    turned = torch.arange(6.0).view(2, 3).T  # not in one piece in memory
    write_network(tmp_path / "new", {"weight": turned})
    tensors = read_network(tmp_path / "new")
    net = nn.Linear(2, 3, bias=False)
    load_weights(net, tensors, tmp_path)
    assert torch.equal(net.weight, turned)


def test_what_is_wrong_with_it_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"{NETWORK} is missing, damaged or of another model") as missing:
        read_network(tmp_path)
    assert missing.value.code == "weights_damaged"
    (tmp_path / NETWORK).write_bytes(b"no weights")
    with pytest.raises(InputError, match="copy the model's folder anew"):
        read_network(tmp_path)
    with pytest.raises(InputError, match="or train it again"):
        load_weights(nn.Linear(2, 3), {"weight": torch.zeros(5, 5)}, tmp_path)
