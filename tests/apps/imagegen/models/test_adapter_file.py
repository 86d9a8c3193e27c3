"""Adapter files: our own and those of diffusers and kohya give what diffusers makes of them; the rest is refused."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load, save, save_file

from apps.imagegen.models.adapter_file import (
    Adapter,
    Update,
    read_adapter,
    read_bytes,
    write_adapter,
)
from apps.imagegen.reasons import ADAPTER
from core.errors import InputError
from tests.apps.imagegen.models import lora
from tests.apps.imagegen.tiny import tiny_sd15

Change = Callable[[dict[str, torch.Tensor]], object]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sd15(tmp_path_factory.mktemp("sd15") / "model")


@pytest.fixture
def pipe(folder: Path) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(folder, safety_checker=None, local_files_only=True)


@pytest.fixture(scope="module")
def unet(folder: Path) -> UNet2DConditionModel:
    return UNet2DConditionModel.from_pretrained(folder / "unet")


@pytest.fixture(scope="module")
def whole(unet: UNet2DConditionModel) -> bytes:
    return write_adapter(lora.updates(unet, 1), {"token": "x"})


def _read(data: bytes, unet: torch.nn.Module, **more: torch.nn.Module) -> Adapter:
    return read_adapter(data, "mine", {"unet": unet, **more}, lambda: "0" * 64)


def _refused(data: bytes, unet: torch.nn.Module) -> InputError:
    with pytest.raises(InputError) as caught:
        _read(data, unet)
    assert "\n" not in caught.value.sentence
    assert caught.value.sentence.startswith("the adapter mine ")
    return caught.value


def _change(unet: torch.nn.Module, change: Change) -> bytes:
    tensors = load(write_adapter(lora.updates(unet, 1), {}))
    change(tensors)
    return save(tensors)


def test_what_was_written_is_read_again(unet: UNet2DConditionModel) -> None:
    made = lora.updates(unet, 1)
    data = write_adapter(made, {"token": "<x> style", "rank": "2"})
    read = _read(data, unet)
    assert read.metadata == {"token": "<x> style", "rank": "2"}
    assert len(made) > 10
    assert read.updates["unet"].keys() == made.keys()
    for name, one in made.items():
        assert torch.equal(read.updates["unet"][name].down, one.down)
        assert torch.equal(read.updates["unet"][name].up, one.up)
        assert read.updates["unet"][name].alpha == 2
    assert read.size == sum(one.down.nbytes + one.up.nbytes for one in made.values())


def test_the_same_adapter_gives_the_same_bytes(unet: UNet2DConditionModel) -> None:
    result = {letter: letter for letter in "zyxwvu"}
    first = write_adapter(lora.updates(unet, 1), result)
    assert first == write_adapter(
        dict(reversed(lora.updates(unet, 1).items())), dict(reversed(result.items()))
    )
    assert len(load(first)) == 2 * len(lora.updates(unet, 1))


@pytest.mark.parametrize("way", ["pipeline", "unet"])
def test_plain_diffusers_computes_the_same_with_our_file(
    folder: Path, pipe: StableDiffusionPipeline, tmp_path: Path, way: str
) -> None:
    path = lora.write(tmp_path / "mine.safetensors", pipe.unet, 1)
    expected = _added(pipe.unet, _read(path.read_bytes(), pipe.unet).updates["unet"])
    if way == "pipeline":
        pipe.load_lora_weights(path, local_files_only=True)
    else:
        pipe.unet.load_lora_adapter(str(path), prefix="unet", local_files_only=True)
    plain = UNet2DConditionModel.from_pretrained(folder / "unet")
    assert _apart(_answer(pipe.unet), expected) < 1e-5
    assert _apart(_answer(plain), expected) > 1e-2


def test_a_file_of_save_lora_weights_is_read_with_its_alpha(
    pipe: StableDiffusionPipeline, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    config = LoraConfig(r=2, lora_alpha=6, target_modules=list(lora.ATTENTION), init_lora_weights=False)
    pipe.unet.add_adapter(config)
    expected = _answer(pipe.unet)
    state = get_peft_model_state_dict(pipe.unet)
    pipe.unet.unload_lora()
    pipe.save_lora_weights(
        tmp_path,
        unet_lora_layers=state,
        unet_lora_adapter_metadata=config.to_dict(),
        weight_name="a.safetensors",
    )
    read = _read((tmp_path / "a.safetensors").read_bytes(), pipe.unet).updates["unet"]
    assert {one.alpha for one in read.values()} == {6.0}
    assert _apart(_added(pipe.unet, read), expected) < 1e-5


@pytest.mark.parametrize("style", ["peft", "diffusers", "old"])
def test_every_spelling_of_diffusers_is_known(unet: UNet2DConditionModel, style: str) -> None:
    made = {name: one for name, one in lora.updates(unet, 1).items() if "resnets" not in name}
    tensors = {}
    for name, one in made.items():
        path = f"unet.{name}"
        down, up = {
            "peft": (f"{path}.lora_A", f"{path}.lora_B"),
            "diffusers": (f"{path}.lora.down", f"{path}.lora.up"),
            "old": tuple(
                f"{path.removesuffix('.0').rpartition('.')[0]}.processor.{path.removesuffix('.0').rpartition('.')[2]}"
                f"_lora.{half}"
                for half in ("down", "up")
            ),
        }[style]
        tensors[f"{down}.weight"], tensors[f"{up}.weight"] = one.down, one.up
    read = _read(save(tensors), unet).updates["unet"]
    assert read.keys() == made.keys()
    assert all(torch.equal(read[name].up, made[name].up) for name in made)


def test_a_file_in_kohya_form_is_read_as_diffusers_reads_it(
    pipe: StableDiffusionPipeline, tmp_path: Path
) -> None:
    tensors = _kohya(pipe.unet, "lora_unet_", alpha=1.0)
    layers = {n: m for n, m in pipe.text_encoder.named_modules() if n.endswith(("_proj", "fc1", "fc2"))}
    for name, module in layers.items():
        path = f"lora_te_text_model_{name.removeprefix('text_model.').replace('.', '_')}"
        tensors[f"{path}.lora_down.weight"] = torch.randn(2, module.in_features) * 0.1
        tensors[f"{path}.lora_up.weight"] = torch.randn(module.out_features, 2) * 0.1
        tensors[f"{path}.alpha"] = torch.tensor(1.0)
    save_file(tensors, tmp_path / "kohya.safetensors")
    read = _read((tmp_path / "kohya.safetensors").read_bytes(), pipe.unet, text_encoder=pipe.text_encoder)
    assert len(read.updates["text_encoder"]) == len(layers) >= 2
    expected = _added(pipe.unet, read.updates["unet"])
    words = torch.arange(8)[None]
    said = _added(pipe.text_encoder, read.updates["text_encoder"], lambda: pipe.text_encoder(words)[0])
    pipe.load_lora_weights(tmp_path / "kohya.safetensors", local_files_only=True)
    assert _apart(_answer(pipe.unet), expected) < 1e-5
    with torch.no_grad():
        assert _apart(pipe.text_encoder(words)[0], said) < 1e-5


def test_an_adapter_learned_on_another_model_is_refused(unet: UNet2DConditionModel) -> None:
    data = write_adapter(lora.updates(unet, 1), {"model": "f" * 64})
    refused = _refused(data, unet)
    assert refused.code == "adapter_other_model"
    assert "its U-Net is 'ffffffffffff', and this is '000000000000'" in refused.sentence


def _narrow(tensors: dict[str, torch.Tensor]) -> None:
    key = next(key for key in tensors if key.endswith("attn2.to_k.lora_A.weight"))
    tensors[key] = tensors[key][:, :8].contiguous()


def _elsewhere(tensors: dict[str, torch.Tensor]) -> None:
    tensors["unet.down_blocks.7.attn\n1.to_q.lora_A.weight"] = torch.zeros(2, 4)


def _of_rank_0(tensors: dict[str, torch.Tensor]) -> None:
    key = next(key for key in tensors if key.endswith("attn2.to_k.lora_A.weight"))
    tensors[key], tensors[key.replace("_A", "_B")] = torch.zeros(0, 32), torch.zeros(16, 0)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (_narrow, "adapter_shape", "has shape [2, 8], and [2, 32] would fit"),
        (
            _elsewhere,
            "adapter_module",
            r"it changes 'unet.down_blocks.7.attn\n1.to_q', which this model lacks",
        ),
        (_of_rank_0, "adapter_rank", "has an update of rank 0"),
        (lambda t: next(iter(t.values())).fill_(float("nan")), "adapter_not_finite", "not finite numbers"),
        (lambda t: next(iter(t.values())).fill_(float("inf")), "adapter_not_finite", "not finite numbers"),
        (
            lambda t: t.pop(next(iter(t))),
            "adapter_half",
            "and lacks the other",
        ),
        (lambda t: t.clear(), "adapter_empty", "holds no LoRA"),
        (
            lambda t: t.update({"unet.conv_in.weight": torch.ones(1)}),
            "adapter_not_lora",
            "of another kind than LoRA",
        ),
        (
            lambda t: t.update({"unet.conv_in.lora_magnitude_vector": torch.ones(1)}),
            "adapter_form",
            "a form of LoRA that is not known here",
        ),
        (
            lambda t: t.update({next(iter(t)): next(iter(t.values())).to(torch.int8)}),
            "adapter_not_finite",
            "not finite numbers",
        ),
    ],
)
def test_files_that_do_not_fit_are_refused(
    unet: UNet2DConditionModel, change: Change, code: str, words: str
) -> None:
    refused = _refused(_change(unet, change), unet)
    assert refused.code == code
    assert words in refused.sentence


@pytest.mark.parametrize("container", ["pickle", "torch", "zip"])
def test_a_pickle_is_refused_whatever_its_name(
    unet: UNet2DConditionModel, tmp_path: Path, container: str
) -> None:
    path = tmp_path / "mine.safetensors"
    if container == "pickle":
        path.write_bytes(pickle.dumps({"unet.conv_in.lora_A.weight": [1.0]}))
    elif container == "torch":
        torch.save({"unet.conv_in.lora_A.weight": torch.ones(2)}, path)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("data.pkl", b"")
    refused = _refused(path.read_bytes(), unet)
    assert refused.code == "adapter_pickled"
    assert "only safetensors are taken" in refused.sentence


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_file_is_refused_or_read_and_never_a_fault(
    unet: UNet2DConditionModel, whole: bytes, data: st.DataObject
) -> None:
    good = bytearray(whole)
    if data.draw(st.booleans()):
        damaged = bytes(good[: data.draw(st.integers(0, len(good) - 1))])
        assert _refused(damaged, unet).code == "adapter_not_safetensors"
    else:
        index = data.draw(st.integers(0, len(good) - 1))
        good[index] ^= data.draw(st.integers(1, 255))
        try:
            result = "read" if _read(bytes(good), unet).updates["unet"] else "nothing"
        except InputError as error:
            result = error.code
        assert result == "read" or result in ADAPTER.sentences


def test_files_are_read_within_bounds(tmp_path: Path) -> None:
    path = tmp_path / "big.safetensors"
    path.write_bytes(b"x" * 2_000_000)
    with pytest.raises(InputError, match=r"has 2 MB; at most 1 MB are loaded") as caught:
        read_bytes(path, 1.0)
    assert caught.value.code == "adapter_too_large"
    assert len(read_bytes(path, 2.0)) == 2_000_000
    os.mkfifo(tmp_path / "pipe")
    for path, code, words in (
        (tmp_path, "adapter_unreadable", "Is a directory"),
        (tmp_path / "pipe", "adapter_not_file", "is not a regular file"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            read_bytes(path)
        assert caught.value.code == code
    with pytest.raises(InputError, match=r"gone\.safetensors is not a file") as caught:
        read_bytes(tmp_path / "gone.safetensors")
    assert caught.value.code == "adapter_missing"


def _kohya(unet: torch.nn.Module, prefix: str, alpha: float) -> dict[str, torch.Tensor]:
    tensors = {}
    for name, one in lora.updates(unet, 5).items():
        path = prefix + name.replace(".", "_")
        tensors[f"{path}.lora_down.weight"], tensors[f"{path}.lora_up.weight"] = one.down, one.up
        tensors[f"{path}.alpha"] = torch.tensor(alpha)
    return tensors


@torch.no_grad()
def _added(
    network: torch.nn.Module, updates: dict[str, Update], ask: Callable[[], torch.Tensor] | None = None
) -> torch.Tensor:
    """Return a network's answer with updates added to its weights by the formula, and put the weights back."""
    before = {name: network.get_submodule(name).weight.detach().clone() for name in updates}
    for name, one in updates.items():
        change = torch.einsum("or,ri->oi", one.up.flatten(1), one.down.flatten(1)) * one.alpha / len(one.down)
        network.get_submodule(name).weight += change.reshape(before[name].shape)
    result = ask() if ask else _answer(network)
    for name, weight in before.items():
        network.get_submodule(name).weight.copy_(weight)
    return result


@torch.no_grad()
def _answer(unet: torch.nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    latent, state = (torch.randn(shape, generator=generator) for shape in ((2, 4, 4, 4), (2, 5, 32)))
    return unet(latent, torch.tensor([700, 100]), state).sample


def _apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


def test_a_header_says_what_others_can_read(unet: UNet2DConditionModel) -> None:
    data = write_adapter(lora.updates(unet, 1), {"token": "<x>"})
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert header["__metadata__"] == {"format": "pt", "triptych": '{"token": "<x>"}'}
    assert (8 + length) % 8 == 0


def test_what_peft_itself_saved_is_read_as_peft_computes_it(folder: Path, tmp_path: Path) -> None:
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    config = LoraConfig(
        r=4, lora_alpha=10, target_modules=["to_q", "to_out.0"], alpha_pattern={"to_out.0": 3}
    )
    wrapped = get_peft_model(unet, config)
    for name, weight in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    wrapped.save_pretrained(tmp_path / "peft")
    data = (tmp_path / "peft" / "adapter_model.safetensors").read_bytes()
    settings = (tmp_path / "peft" / "adapter_config.json").read_bytes()
    plain = UNet2DConditionModel.from_pretrained(folder / "unet")
    adapter = read_adapter(data, "mine", {"unet": plain}, lambda: "", settings)
    result = adapter.updates["unet"]
    assert adapter.note == ""
    assert len(result) > 5
    assert {one.alpha for name, one in result.items() if name.endswith("to_q")} == {10.0}
    assert {one.alpha for name, one in result.items() if name.endswith("to_out.0")} == {3.0}
    for name, module in wrapped.base_model.model.named_modules():
        if name in result:
            change = module.get_delta_weight("default")
            one = result[name]
            assert torch.allclose(one.up @ one.down * one.alpha / 4, change, atol=1e-5), name
    alone = _read(data, plain)
    assert {one.alpha for one in alone.updates["unet"].values()} == {4.0}
    assert "lies without its adapter_config.json: its lora_alpha is taken to be its rank" in alone.note
    raw = {f"{key.removesuffix('.weight')}.default.weight": one for key, one in load(data).items()}
    assert _read(save(raw), plain).updates["unet"].keys() == result.keys(), "as its state_dict names them"
    twice = _refused(save({**raw, **load(data)}), plain)
    assert "changes a module that another entry changes too" in twice.sentence
    with pytest.raises(InputError, match=r"its adapter_config\.json is not a JSON object"):
        read_adapter(data, "mine", {"unet": plain}, lambda: "", b"[]")
