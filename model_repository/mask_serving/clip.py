"""CLIP's two halves: texts and pictures as unit vectors that point the same way when they fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mask_serving.batched_graph import answer_batch
from mask_serving.fastest_session import open_fastest

OUTPUTS = ("EMBEDDING",)


class ClipTextModel:
    """TEXT string [1] -> EMBEDDING fp32 [D]."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load graph and tokenizer of this version."""
        from tokenizers import Tokenizer

        folder = Path(args["model_repository"]) / args["model_version"]
        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        example = {"INPUT_IDS": self._tokens(["a photo"])}
        self._session = open_fastest(folder / "model.onnx", args, example)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One forward pass for the whole dynamic batch."""
        responses: list[Any] = answer_batch(requests, "TEXT", OUTPUTS, self._embed)
        return responses

    def _embed(self, texts: npt.NDArray[Any]) -> Any:
        words = [text.decode("utf-8", "replace") for text in texts.ravel()]
        return self._session.run(OUTPUTS, {"INPUT_IDS": self._tokens(words)})

    def _tokens(self, words: list[str]) -> npt.NDArray[np.int64]:
        """The exporter set the tokenizer to truncate and to pad to the text model's length."""
        return np.asarray([entry.ids for entry in self._tokenizer.encode_batch(words)], np.int64)


class ClipImageModel:
    """IMAGES uint8 [S, S, 3] -> EMBEDDING fp32 [D]; S is the side the checkpoint was made for."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the graph of this version."""
        import onnx

        graph = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        properties = {entry.key: entry.value for entry in onnx.load(graph).metadata_props}
        side = int(properties["image_size"])
        example = {"IMAGES": np.full((1, side, side, 3), 127, np.uint8)}
        self._session = open_fastest(graph, args, example)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One forward pass for the whole dynamic batch."""
        responses: list[Any] = answer_batch(
            requests, "IMAGES", OUTPUTS, lambda rows: self._session.run(OUTPUTS, {"IMAGES": rows})
        )
        return responses
