"""Words keep their pieces together, weights add up, and what is looked for lights up without changing a bit."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor
from transformers import BertTokenizer, CLIPTokenizer, PreTrainedTokenizerBase

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.attention_probe import AttentionProbe, Word, attention_of, grid_of, words_of
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.pipeline_folder import load_pipeline
from core.errors import InternalFault
from tests.apps.imagegen.tiny import TOKENS, WIDTH, tiny_pipeline, tiny_sd15

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_pipeline(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sd15(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def unet(bert: Path) -> UNet2DConditionModel:
    return UNet2DConditionModel.from_pretrained(bert / "unet").eval()


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    kind = CLIPTokenizer if (folder / "tokenizer" / "vocab.json").exists() else BertTokenizer
    return kind.from_pretrained(folder / "tokenizer")


def _pieces(folder: Path, prompt: str) -> list[tuple[str, list[str]]]:
    """Each word with the tokens found for it, looked up in what the model really gets."""
    tokenizer = _tokenizer(folder)
    padded = tokenizer(prompt, padding="max_length", max_length=TOKENS, truncation=True).tokens()
    return [
        (word.text, [padded[position] for position in word.positions]) for word in words_of(tokenizer, prompt)
    ]


def test_word_pieces_of_bert_are_one_word_and_its_marks_none(bert: Path) -> None:
    assert _pieces(bert, "Red apples, a cat's") == [
        ("Red", ["red"]),
        ("apples", ["apple", "##s"]),
        ("a", ["a"]),
        ("cat's", ["cat", "'", "s"]),
    ]


def test_word_pieces_of_clip_are_one_word_and_its_marks_none(clip: Path) -> None:
    assert _pieces(clip, "red Apple, dog!") == [
        ("red", ["red</w>"]),
        ("Apple", ["apple</w>"]),
        ("dog", ["d", "o", "g</w>"]),
    ]


def test_what_is_cut_off_is_no_word_and_signs_without_letters_are(bert: Path) -> None:
    words = words_of(_tokenizer(bert), " ".join(["red"] * 30))
    assert [word.positions for word in words] == [(position,) for position in range(1, TOKENS - 1)]
    assert _pieces(bert, "🍎 🍏") == [("🍎", ["[UNK]"]), ("🍏", ["[UNK]"])]
    assert words_of(_tokenizer(bert), " ") == ()


def test_weights_of_a_place_add_up_to_one_and_are_those_of_diffusers() -> None:
    """Expected: AttnProcessor, diffusers' plain twin of the fast kernel, which makes the weights on its way."""
    torch.manual_seed(0)
    layer = Attention(query_dim=24, cross_attention_dim=12, heads=3, dim_head=8).eval()
    x_BPE, state_BTE = torch.randn(2, 16, 24), torch.randn(2, 5, 12)
    kept = []
    layer.get_attention_scores = lambda *given: (
        kept.append(Attention.get_attention_scores(layer, *given)) or kept[-1]
    )
    with torch.inference_mode():
        AttnProcessor()(layer, x_BPE, state_BTE)
        found_PT = attention_of(layer.to_q(x_BPE)[1], layer.to_k(state_BTE)[1], 3)
    assert torch.allclose(found_PT.sum(dim=1), torch.ones(16))
    assert torch.allclose(found_PT, kept[0].reshape(2, 3, 16, 5)[1].mean(dim=0), atol=1e-6)


def test_a_place_whose_query_is_a_words_key_looks_at_that_word() -> None:
    """Two heads of width 1, made by hand: weights e³ against 1 and 1 at one position, equal ones at the other."""
    key_TE = torch.tensor([[0.0, 0.0], [3.0, 3.0], [0.0, 0.0]])
    found_PT = attention_of(torch.tensor([[1.0, 1.0], [0.0, 0.0]]), key_TE, 2)
    high = math.exp(3) / (math.exp(3) + 2)
    assert found_PT[0].tolist() == pytest.approx([(1 - high) / 2, high, (1 - high) / 2])
    assert found_PT[1].tolist() == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("positions", "latent", "grid"),
    [
        (64, (8, 8), (8, 8)),
        (16, (8, 8), (4, 4)),
        (6, (5, 3), (3, 2)),
        (1, (8, 8), (1, 1)),
        (24, (8, 12), (4, 6)),
    ],
)
def test_the_grid_of_a_layer_follows_from_its_number_of_places(
    positions: int, latent: tuple[int, int], grid: tuple[int, int]
) -> None:
    assert grid_of(positions, latent) == grid


def test_a_number_of_places_that_no_grid_has_is_a_fault() -> None:
    with pytest.raises(InternalFault, match="a layer sees 7 positions, which 8 x 8 latents never become"):
        grid_of(7, (8, 8))


def _inputs(rows: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    latent = torch.randn(rows, 8, 4, 6, generator=generator)
    return latent, torch.full((rows,), 500), torch.randn(rows, TOKENS, WIDTH, generator=generator)


@torch.inference_mode()
def test_watching_changes_no_bit_and_sees_one_row_only(unet: UNet2DConditionModel) -> None:
    inputs = _inputs(4)
    plain = unet(*inputs).sample
    words = [Word("all", tuple(range(TOKENS))), Word("red", (1,)), Word("apples", (2, 3))]
    probes = [AttentionProbe(words, (4, 6)) for _ in range(2)]
    with probes[0].watching(unet, 2), probes[1].watching(unet, 0):
        assert torch.equal(unet(*inputs).sample, plain)
    map_SWhw = probes[0].maps_SWhw()
    assert map_SWhw.shape == (1, 3, 4, 6)
    assert torch.allclose(map_SWhw[:, 0], torch.ones(1, 4, 6)), "all tokens together get all attention"
    assert (map_SWhw[:, 1:] > 0).all()
    assert not torch.allclose(map_SWhw, probes[1].maps_SWhw(), atol=1e-4)
    alone = AttentionProbe(words, (4, 6))
    with alone.watching(unet, 0):
        unet(*(one[2:3] for one in inputs))
    assert torch.allclose(alone.maps_SWhw(), map_SWhw, atol=1e-5)
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in unet.modules())


@torch.inference_mode()
def test_each_call_is_a_step_and_a_failed_one_none(unet: UNet2DConditionModel) -> None:
    probe = AttentionProbe([Word("red", (1,))], (4, 6))
    inputs = _inputs(1)
    with pytest.raises(InternalFault, match="the attention probe was never shown a step"):
        probe.maps_SWhw()
    for _ in range(3):
        with probe.watching(unet, 0):
            unet(*inputs)
    with pytest.raises(RuntimeError, match="shape"), probe.watching(unet, 0):
        unet(inputs[0], inputs[1], torch.randn(1, TOKENS, WIDTH + 1))
    assert probe.maps_SWhw().shape == (3, 1, 4, 6)


@torch.inference_mode()
def test_the_word_that_the_keys_favour_lights_up(unet: UNet2DConditionModel) -> None:
    """With equal states for all tokens every word gets the same; one whose keys grow gets more somewhere."""
    latent, step, _ = _inputs(1)
    state = torch.zeros(1, TOKENS, WIDTH)
    words = [Word("one", (1,)), Word("two", (2,))]
    even, odd = (AttentionProbe(words, (4, 6)) for _ in range(2))
    with even.watching(unet, 0):
        unet(latent, step, state)
    assert torch.allclose(even.maps_SWhw(), torch.full((1, 2, 4, 6), 1 / TOKENS))
    state[0, 2] = 30 * torch.randn(WIDTH, generator=torch.Generator().manual_seed(0))
    with odd.watching(unet, 0):
        unet(latent, step, state)
    one, two = odd.maps_SWhw()[0]
    assert two.max() > 1.2 * one.max()
    assert two.std() > one.std()


def test_a_network_without_cross_attention_is_a_fault() -> None:
    probe = AttentionProbe([Word("red", (1,))], (4, 6))
    with pytest.raises(InternalFault, match="no module of Linear"), probe.watching(torch.nn.Linear(1, 1), 0):
        pass


def test_the_engine_shows_a_probe_its_own_row_whatever_else_is_in_the_batch(bert: Path) -> None:
    pipeline = load_pipeline(bert)
    recipe = Recipe("red apple", seed=3, steps=3)
    others = [Recipe("blue car", seed=1, steps=2), Recipe("cat", seed=2, steps=4, guidance=0.0)]

    def watched(before: list[Recipe]) -> tuple[np.ndarray, torch.Tensor]:
        probe = AttentionProbe(words_of(pipeline.tokenizer, recipe.prompt), (4, 4))
        with Engine(pipeline, rows=8) as engine:
            jobs = [engine.submit(one) for one in before]
            drawn = engine.submit(recipe, probe=probe).result()
            assert [job.result().shape for job in jobs] == [(32, 32, 3)] * len(jobs)
        return drawn, probe.maps_SWhw()

    alone, together = watched([]), watched(others)
    assert np.array_equal(alone[0], together[0])
    assert alone[1].shape == (3, 2, 4, 4)
    assert torch.allclose(alone[1], together[1], atol=1e-5)
    with Engine(pipeline, rows=8) as engine:
        assert np.array_equal(engine.submit(recipe).result(), alone[0]), "without a probe"
