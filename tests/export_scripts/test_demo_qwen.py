"""The tiny checkpoints: prompts are cut where real ones are, and weights follow the seed."""

from pathlib import Path
from typing import Any

import pytest

from export_scripts.demo_qwen import (
    QwenImageEditPlusPipeline,
    QwenImagePipeline,
    save_generation_checkpoint,
)

PROMPT = "a tiny ζebra, 3 cups & ☂"


def prefix_and_rest(pipeline: Any, prompt: str) -> tuple[int, str]:
    """Tokens that the pipeline cuts off, and the text of those it keeps."""
    cut = pipeline.prompt_template_encode_start_idx
    ids = pipeline.tokenizer(pipeline.prompt_template_encode.format(prompt))["input_ids"]
    return cut, pipeline.tokenizer.decode(ids[cut:])


def weights(checkpoint: Path, component: str) -> bytes:
    (file,) = (checkpoint / component).glob("*.safetensors")
    return file.read_bytes()


@pytest.mark.parametrize("prompt", [PROMPT, "", "<|im_end|> two  lines\n\nof it"])
def test_generation_cuts_34_tokens_and_no_more(generation: Path, prompt: str) -> None:
    pipeline = QwenImagePipeline.from_pretrained(generation)
    rest = f"{prompt}<|im_end|>\n<|im_start|>assistant\n"
    assert prefix_and_rest(pipeline, prompt) == (34, rest)


def test_edit_cuts_64_tokens_and_no_more(edit: Path) -> None:
    pipeline = QwenImageEditPlusPipeline.from_pretrained(edit)
    rest = f"{PROMPT}<|im_end|>\n<|im_start|>assistant\n"
    assert prefix_and_rest(pipeline, PROMPT) == (64, rest)


@pytest.mark.parametrize("component", ["text_encoder", "vae"])
def test_both_checkpoints_share(generation: Path, edit: Path, component: str) -> None:
    assert weights(generation, component) == weights(edit, component)


def test_each_checkpoint_has_a_transformer_of_its_own(generation: Path, edit: Path) -> None:
    assert weights(generation, "transformer") != weights(edit, "transformer")


@pytest.mark.parametrize("component", ["text_encoder", "vae", "transformer"])
def test_the_seed_decides_the_weights(generation: Path, tmp_path: Path, component: str) -> None:
    save_generation_checkpoint(tmp_path / "same")
    save_generation_checkpoint(tmp_path / "other", seed=7)
    assert weights(tmp_path / "same", component) == weights(generation, component)
    assert weights(tmp_path / "other", component) != weights(generation, component)
