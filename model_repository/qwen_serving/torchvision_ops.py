"""Let torchvision's CUDA wheel load beside a CPU-only torch.

The wheel's compiled operators link against CUDA libraries. Where those are absent the
operators are silently missing and `import torchvision` fails with "operator
torchvision::nms does not exist", and with it every Qwen pipeline and ultralytics itself.
"""

from __future__ import annotations

import torch

_library: torch.library.Library | None = None


def declare() -> None:
    """Declare the missing operators; call before anything imports torchvision.

    Does nothing on a CUDA build of torch, nor when called again.
    """
    global _library
    if _library is not None or torch.version.cuda is not None:
        return
    _library = torch.library.Library("torchvision", "FRAGMENT")
    signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    for name in ("nms", "qnms"):
        _library.define(name + signature)
    _library.impl("nms", _nms, "CPU")
    import torchvision

    torchvision.extension._has_ops = lambda: True


def _nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Greedy suppression of (N, 4) xyxy boxes; indices that stay, best first."""
    order = torch.argsort(scores, descending=True, stable=True)
    left, top, right, bottom = boxes[order].unbind(1)
    area = (right - left) * (bottom - top)
    alive = torch.ones(len(order), dtype=torch.bool)
    keep = []
    for i in range(len(order)):
        if not alive[i]:
            continue
        keep.append(i)
        width = (
            torch.minimum(right[i], right[i + 1 :]) - torch.maximum(left[i], left[i + 1 :])
        ).clamp_(0)
        height = (
            torch.minimum(bottom[i], bottom[i + 1 :]) - torch.maximum(top[i], top[i + 1 :])
        ).clamp_(0)
        overlap = width * height
        alive[i + 1 :] &= ~(overlap / (area[i] + area[i + 1 :] - overlap) > iou_threshold)
    return order[torch.tensor(keep, dtype=torch.long)]
