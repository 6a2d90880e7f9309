// A picture and its mask on a stage with a toolbar; used for the picture and for a reference.
import { BoxTool } from "./box_tool.js";
import { BrushTool } from "./brush_tool.js";
import { ClickTool } from "./click_tool.js";
import { sayError } from "./elements.js";
import { EverythingTool } from "./everything_tool.js";
import { Gestures } from "./gestures.js";
import { MaskHistory } from "./mask_history.js";
import { MaskMaker } from "./mask_maker.js";
import { MaskOverlay } from "./overlay.js";
import { View } from "./view.js";

export class MaskEditor {
  constructor(host) {
    this.host = host;
    this.view = new View(host);
    this.history = new MaskHistory();
    this.maker = new MaskMaker(this.history);
    this.overlay = new MaskOverlay(this.view);
    this.brushPx = 40;
    this.onMask = () => {};
    this.onToolState = () => {};
    this.tools = {
      everything: new EverythingTool(this),
      click: new ClickTool(this),
      box: new BoxTool(this),
      brush: new BrushTool(this),
      eraser: new BrushTool(this, { erase: true }),
    };
    this.gestures = new Gestures(this.view, this.tools.click);
    this.history.onChange = () => this.#maskChanged();
    this.view.onChange = () => this.#viewChanged();
    this.maker.onBusy = (busy) => host.classList.toggle("busy", busy);
  }

  get tool() {
    return this.gestures.tool;
  }

  get picture() {
    return this.view.picture;
  }

  /** The mask as a job takes it; null where there is none. */
  get mask() {
    const { id, feather, area } = this.history.now;
    return id ? { id, isSoft: feather > 0, area } : null;
  }

  open(picture) {
    this.brushPx = Math.max(4, Math.round(Math.max(picture.width, picture.height) / 25));
    this.view.show(picture);
    this.maker.start(picture);
    this.tool.enter?.();
    this.onToolState();
  }

  choose(name) {
    if (name === "hand") {
      this.gestures.handMode = true;
    } else {
      this.gestures.handMode = false;
      this.tool.leave();
      this.tool.exit?.();
      this.gestures.tool = this.tools[name];
      this.tool.enter?.();
    }
    this.host.dataset.tool = name;
    this.onToolState();
  }

  #viewChanged() {
    this.tools.click.drawMarkers();
    this.overlay.refine();
  }

  async #maskChanged() {
    const { now } = this.history;
    this.host.dataset.maskId = now.id || "";
    this.tools.click.drawMarkers();
    this.onMask();
    await this.overlay.show(now.png).catch(sayError);
    this.host.dataset.shownMask = now.id || "";
    if (this.overlay.bitmap && now !== this.history.now) await this.overlay.show(this.history.now.png);
  }
}
