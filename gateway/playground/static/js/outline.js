// Rings of a mask as a shape: what the pointer is on, before it becomes the mask.
const { Konva } = globalThis;

export function pathOf(rings) {
  const path = new Path2D();
  for (const ring of rings) {
    ring.forEach(([x, y], index) => (index ? path.lineTo(x, y) : path.moveTo(x, y)));
    path.closePath();
  }
  return path;
}

export class OutlineNode {
  constructor(view, name, { fill = "rgba(64, 140, 255, 0.35)", stroke = "#fff" } = {}) {
    this.paths = [];
    this.node = new Konva.Shape({
      name,
      visible: false,
      sceneFunc: (context) => {
        const native = context._context;
        for (const path of this.paths) {
          native.fillStyle = fill;
          native.strokeStyle = stroke;
          native.lineWidth = 2 / view.scale;
          native.fill(path, "evenodd");
          native.stroke(path);
        }
      },
    });
    view.top.add(this.node);
  }

  show(rings) {
    this.showPaths(rings ? [pathOf(rings)] : []);
  }

  showPaths(paths) {
    this.paths = paths;
    this.node.visible(paths.length > 0);
    this.node.getLayer().batchDraw();
  }

  hide() {
    this.showPaths([]);
  }
}
