"""FastSAM's graph in half precision or 8 bits; what turns its head into boxes stays float32."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from preprocessing.letterbox import letterbox, plan_letterbox

MAX_CALIBRATION_PICTURES = 64
_LAYERS = "/network/model."
_BRANCHES = ("cv2", "cv3", "cv4", "proto")
"""Parts of the head that are layers; its other nodes put box pixels and 0..1 scores into one
tensor, which no 8-bit scale and no half-precision pixel survives."""

Picture = npt.NDArray[np.uint8]


def to_fp16(graph: Path, target: Path) -> None:
    """Half-precision layers between float32 inputs and outputs."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    model = onnx.load(graph)
    # Identities share weights between layers.
    blocked = [
        node.name
        for node in model.graph.node
        if not _is_layer(node.name, model) and node.op_type != "Identity"
    ]
    # Its subnormals and its overflows are clipped with a warning each.
    with _quiet("onnxruntime.transformers.float16"):
        halved = convert_float_to_float16(model, keep_io_types=True, node_block_list=blocked)
    OnnxModel.graph_topological_sort(halved.graph)  # the casts were put at the end
    onnx.save(halved, target)


def to_int8(graph: Path, target: Path, pictures: Sequence[Picture], *, image_size: int) -> None:
    """8-bit convolutions (weights per channel), calibrated on pictures.

    Args:
        graph: float32.
        target: `.onnx` file.
        pictures: RGB (H, W, 3), like those that will be served; 64 suffice.
        image_size: side of the square that they are letterboxed into.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(prefix="retouch-int8-") as scratch, _quiet("root"):
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(str(graph), str(prepared), skip_symbolic_shape=True)
        model = onnx.load(prepared)
        excluded = [
            node.name
            for node in model.graph.node
            if node.op_type == "Conv" and not _is_layer(node.name, model)
        ]
        quantize_static(
            str(prepared),
            str(target),
            _Calibration(pictures, image_size),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=excluded,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


def head_of(model: onnx.ModelProto) -> str:
    """Name prefix of the last block's nodes, e.g. "/network/model.22/"."""
    blocks = [
        int(node.name.removeprefix(_LAYERS).split("/")[0])
        for node in model.graph.node
        if node.name.startswith(_LAYERS)
    ]
    return f"{_LAYERS}{max(blocks)}/"


def _is_layer(name: str, model: onnx.ModelProto) -> bool:
    head = head_of(model)
    if name.startswith(head):
        return name.removeprefix(head).startswith(_BRANCHES)
    return name.startswith(_LAYERS)


class _Calibration:
    """Feeds the pictures once, as `quantize_static` wants them."""

    def __init__(self, pictures: Sequence[Picture], image_size: int) -> None:
        self._inputs = self._squares(pictures[:MAX_CALIBRATION_PICTURES], image_size)

    def get_next(self) -> dict[str, Picture] | None:
        return next(self._inputs, None)

    @staticmethod
    def _squares(pictures: Sequence[Picture], size: int) -> Iterator[dict[str, Any]]:
        for picture in pictures:
            plan = plan_letterbox((picture.shape[1], picture.shape[0]), size)
            yield {"IMAGES": letterbox(picture, plan)[None]}


class _quiet:  # noqa: N801
    """Silences a library's logger inside a block."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def __enter__(self) -> None:
        self._level = self._logger.level
        self._logger.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        self._logger.setLevel(self._level)
