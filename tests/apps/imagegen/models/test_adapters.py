"""The adapters: names of one folder, pictures that depend on adapter and scale alone, memory that does not grow."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import save_file

from apps.imagegen.models import adapters as module
from apps.imagegen.models.adapter_file import read_adapter
from apps.imagegen.models.adapters import AdapterCache
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from core.errors import InputError
from tests.apps.imagegen.models import lora
from tests.apps.imagegen.tiny import tiny_pipeline, tiny_sd15


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return load_pipeline(tiny_pipeline(tmp_path_factory.mktemp("adapters") / "model"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, pipeline: Pipeline) -> Path:
    folder = tmp_path_factory.mktemp("adapters")
    for seed, name in enumerate(("warm", "cold", "Skizze – weich")):
        lora.write(folder / f"{name}.safetensors", pipeline.unet, seed, token=f"<{name}>")
    return folder


@torch.inference_mode()
def _answer(pipeline: Pipeline, rows: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    latent, state = (torch.randn(shape, generator=generator) for shape in ((16, 8, 4, 4), (16, 5, 32)))
    return pipeline.unet(latent[:rows], torch.full((rows,), 400), state[:rows]).sample


def _refused(adapters: AdapterCache, name: str) -> InputError:
    with pytest.raises(InputError) as caught:
        adapters.digest(name)
    return caught.value


def test_names_are_the_files_of_the_folder(folder: Path, pipeline: Pipeline, tmp_path: Path) -> None:
    adapters = AdapterCache(folder, pipeline)
    assert adapters.names() == ("Skizze – weich", "cold", "warm")
    assert adapters.metadata("warm") == {"token": "<warm>"}
    assert AdapterCache(None, pipeline).names() == ()
    assert AdapterCache(tmp_path / "gone", pipeline).names() == ()


def test_without_an_adapter_the_network_is_as_before_any_was_loaded(folder: Path, pipeline: Pipeline) -> None:
    before, weights = _answer(pipeline), dict(pipeline.unet.named_parameters())
    adapters = AdapterCache(folder, pipeline)
    for name in adapters.names():
        with adapters.use(name, 1.5):
            assert not torch.equal(_answer(pipeline), before)
        assert torch.equal(_answer(pipeline), before)
        with adapters.use(None):
            assert torch.equal(_answer(pipeline), before)
    after = dict(pipeline.unet.named_parameters())
    assert len(weights) > 50
    assert after.keys() == weights.keys()
    assert all(after[name] is weights[name] for name in weights)
    assert not any(isinstance(module, BaseTunerLayer) for module in pipeline.unet.modules())


def test_what_an_adapter_does_depends_on_it_and_its_scale_alone(folder: Path, pipeline: Pipeline) -> None:
    alone = {}
    for name in ("warm", "cold"):
        for scale in (0.5, 1.0):
            with AdapterCache(folder, pipeline).use(name, scale):
                alone[name, scale] = _answer(pipeline)
    assert not torch.equal(alone["warm", 0.5], alone["warm", 1.0])
    assert not torch.equal(alone["warm", 1.0], alone["cold", 1.0])
    for adapters in (AdapterCache(folder, pipeline), AdapterCache(folder, pipeline, kept_mb=0.001)):
        for key in (*alone, *reversed(alone)):
            with torch.inference_mode(), adapters.use(*key):
                assert torch.equal(_answer(pipeline), alone[key])


def test_batches_that_were_equal_are_equal_with_an_adapter(folder: Path, pipeline: Pipeline) -> None:
    adapters = AdapterCache(folder, pipeline)
    for name in (None, "warm"):
        with adapters.use(name):
            whole = _answer(pipeline, 16)
            for rows in (4, 8):
                assert torch.equal(_answer(pipeline, rows), whole[:rows])


def test_the_network_is_itself_again_after_an_error(folder: Path, pipeline: Pipeline) -> None:
    before = _answer(pipeline)
    adapters = AdapterCache(folder, pipeline)
    with pytest.raises(ZeroDivisionError), adapters.use("warm"):
        raise ZeroDivisionError
    assert torch.equal(_answer(pipeline), before)


def test_training_may_follow_in_a_process_that_has_drawn(folder: Path, pipeline: Pipeline) -> None:
    adapters = AdapterCache(folder, pipeline)
    with torch.inference_mode(), adapters.use("warm"):
        pass
    latent = torch.zeros((1, 8, 4, 4), requires_grad=True)
    with adapters.use("warm"):
        pipeline.unet(latent, 5, torch.zeros((1, 5, 32))).sample.sum().backward()
    assert latent.grad is not None


def test_an_adapter_for_the_text_encoder_changes_states(tmp_path: Path) -> None:
    pipeline = load_pipeline(tiny_sd15(tmp_path / "model"))
    encoder = pipeline.text_encoder
    name, module = next((n, m) for n, m in encoder.named_modules() if n.endswith("q_proj"))
    path = f"text_encoder.text_model.{name.removeprefix('text_model.')}"
    torch.manual_seed(0)
    tensors = {
        f"{path}.lora_A.weight": torch.randn(2, module.in_features),
        f"{path}.lora_B.weight": torch.randn(module.out_features, 2),
    }
    (tmp_path / "adapters").mkdir()
    save_file(tensors, tmp_path / "adapters" / "words.safetensors")
    adapters = AdapterCache(tmp_path / "adapters", pipeline)
    before = pipeline.states(["red apple"])
    with adapters.use("words"):
        assert not torch.equal(pipeline.states(["red apple"]), before)
    assert torch.equal(pipeline.states(["red apple"]), before)


def test_memory_of_adapters_and_merged_weights_stays_below_one_cap(folder: Path, pipeline: Pipeline) -> None:
    adapters, names = AdapterCache(folder, pipeline, kept_mb=0.5), AdapterCache(folder, pipeline).names()
    one = sum(module.weight.nbytes for module in lora.modules(pipeline.unet).values())
    for turn in range(20):
        _swap(adapters, names, turn)
    before = _resident_mb()
    for turn in range(200):
        _swap(adapters, names, turn)
        assert one <= adapters.held() <= 0.5e6, "of both together"
    assert _resident_mb() - before < 50 * one / 1e6, "a quarter of what 200 sets of weights take"
    for turn in range(3):
        _swap(AdapterCache(folder, pipeline, kept_mb=0.0), names, turn)


def test_an_adapter_that_was_loaded_is_not_read_again_to_be_used(
    folder: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapters = AdapterCache(folder, pipeline)
    digest = adapters.digest("warm")
    adapters.load("warm", digest, 1.0)
    monkeypatch.setattr(module, "read_bytes", None)
    with adapters.use("warm", 1.0, digest):
        pass
    adapters.load("warm", digest, 0.5)


def test_folders_as_peft_saves_them_are_adapters_by_their_name(pipeline: Pipeline, tmp_path: Path) -> None:
    peft = lora.write_peft(tmp_path / "sketch", pipeline.unet, seed=3, alpha=8)
    ours = lora.write(tmp_path / "ours.safetensors", pipeline.unet, 3)
    adapters = AdapterCache(tmp_path, pipeline)
    assert adapters.names() == ("ours", "sketch")
    with adapters.use("ours", 4.0):  # rank 2, so alpha 8 is four times as strong
        expected = _answer(pipeline)
    with adapters.use("sketch"):
        assert torch.allclose(_answer(pipeline), expected, atol=1e-5)
    digest = adapters.digest("sketch")
    config = peft / "adapter_config.json"
    config.write_text(config.read_text().replace('"lora_alpha": 8', '"lora_alpha": 4'))
    assert adapters.digest("sketch") != digest, "alpha decides what is drawn"
    config.unlink()
    assert "its lora_alpha is taken to be its rank" in adapters.note("sketch")
    assert (adapters.note("ours"), ours.exists()) == ("", True)


def _swap(adapters: AdapterCache, names: tuple[str, ...], turn: int) -> None:
    with adapters.use(names[turn % len(names)], 0.5 + turn / 100):
        pass


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../warm",
        "sub/deep",
        "/etc/passwd",
        "warm.safetensors",
        "link",
        "WARM\0",
        "\udcff",
        "x" * 5000,
    ],
)
def test_a_name_is_never_a_path(folder: Path, pipeline: Pipeline, tmp_path: Path, name: str) -> None:
    ground = tmp_path / "ground"
    ground.mkdir()
    for path in folder.iterdir():
        (ground / path.name).write_bytes(path.read_bytes())
    outside = lora.write(tmp_path / "outside.safetensors", pipeline.unet, 9)
    (ground / "link.safetensors").symlink_to(outside)
    lora.write(ground / "sub" / "deep.safetensors", pipeline.unet, 9)
    refused = _refused(AdapterCache(ground, pipeline), name)
    assert refused.code == "adapter_unknown"
    assert refused.sentence.isprintable()
    assert len(refused.sentence) < 200
    assert refused.sentence.endswith("there are: Skizze – weich, cold, warm")


def test_a_link_inside_the_folder_is_a_second_name(folder: Path, pipeline: Pipeline, tmp_path: Path) -> None:
    ground = tmp_path / "ground"
    lora.write(ground / "warm.safetensors", pipeline.unet, 0)
    (ground / "latest.safetensors").symlink_to("warm.safetensors")
    adapters = AdapterCache(ground, pipeline)
    assert adapters.names() == ("latest", "warm")
    assert adapters.digest("latest") == adapters.digest("warm")


def test_long_lists_of_names_are_cut(pipeline: Pipeline, tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"a{number:02}.safetensors").touch()
    assert _refused(AdapterCache(tmp_path, pipeline), "b").sentence.endswith("a19 and 10 more")


@pytest.mark.parametrize(
    ("file", "content", "code"),
    [
        ("bad.pt", pickle.dumps({}), "adapter_pickled"),
        ("bad.safetensors", pickle.dumps({}), "adapter_pickled"),
        ("bad.safetensors", b"", "adapter_not_safetensors"),
        ("bad.safetensors", b"\xff" * 100, "adapter_not_safetensors"),
        ("bad.safetensors", b"x" * 200_000, "adapter_too_large"),
    ],
)
def test_bad_files_are_refused_and_good_ones_go_on(
    folder: Path, pipeline: Pipeline, tmp_path: Path, file: str, content: bytes, code: str
) -> None:
    lora.write(tmp_path / "warm.safetensors", pipeline.unet, 0)
    (tmp_path / file).write_bytes(content)
    adapters = AdapterCache(tmp_path, pipeline, largest_mb=0.1)
    before = _answer(pipeline)
    assert _refused(adapters, "bad").code == code
    with pytest.raises(InputError) as caught, adapters.use("bad"):
        pass
    assert caught.value.code == code
    assert torch.equal(_answer(pipeline), before)
    with adapters.use("warm"):
        assert not torch.equal(_answer(pipeline), before)


def test_an_adapter_of_another_model_is_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    other = load_pipeline(tiny_sd15(tmp_path / "other"))
    path = lora.write(tmp_path / "adapters" / "of-sd15.safetensors", other.unet, 0)
    data = bytearray(path.read_bytes())
    read_adapter(bytes(data), "of-sd15", {"unet": pipeline.unet}, lambda: "")  # attention alone would fit
    lora.write(path, other.unet, 0, model="0" * 64)
    refused = _refused(AdapterCache(path.parent, pipeline), "of-sd15")
    assert refused.code == "adapter_other_model"
    assert "was trained on another model" in refused.sentence


def test_a_file_that_was_replaced_is_noticed(pipeline: Pipeline, tmp_path: Path) -> None:
    path = lora.write(tmp_path / "mine.safetensors", pipeline.unet, 0)
    adapters = AdapterCache(tmp_path, pipeline)
    old = adapters.digest("mine")
    with adapters.use("mine", 1.0, old):
        first = _answer(pipeline)
    path.unlink()
    lora.write(path, pipeline.unet, 1)
    new = adapters.digest("mine")
    assert new != old
    with adapters.use("mine", 1.0, old):  # still in memory: a picture under way ends as it began
        assert torch.equal(_answer(pipeline), first)
    with adapters.use("mine", 1.0, new):
        assert not torch.equal(_answer(pipeline), first)
    late = AdapterCache(tmp_path, pipeline)
    with (
        pytest.raises(InputError, match="was replaced by another file") as caught,
        late.use("mine", 1.0, old),
    ):
        pass
    assert caught.value.code == "adapter_changed"
