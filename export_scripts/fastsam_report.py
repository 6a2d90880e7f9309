"""An export of FastSAM as a table."""

from __future__ import annotations

from rich.table import Table

from export_scripts.fastsam_export import FastSamExport


def as_table(exported: FastSamExport) -> Table:
    """Size, and how far it is from torch and from float32."""
    torch = exported.torch_difference
    shapes = ", ".join(" x ".join(map(str, shape)) for shape in torch.shapes)
    rows = {
        "graph": f"{exported.precision}, {exported.graph_bytes / 1e6:.1f} MB",
        "float32 in ONNX Runtime against torch (batch x height x width)": shapes,
        "  boxes": f"{torch.box_px:.1e} px",
        "  scores": f"{torch.score:.1e}",
        "  coefficients": f"{torch.coefficient:.1e}",
        "  prototypes (by both bytes)": f"{torch.prototype:.1e}",
    }
    if exported.agreement is not None:
        agreement = exported.agreement
        rows[f"{exported.precision} against float32"] = (
            f"mean mask IoU {agreement.mean_iou:.4f} over {agreement.instances} masks"
        )
    table = Table("largest difference", "", title=f"fastsam version {exported.version}")
    for name, value in rows.items():
        table.add_row(name, value)
    return table
