import { byId, element } from "./dom.js";
import { parameterCount } from "./statistics.js";

/** The slider that chooses how much of the model answers; hidden for a model of one size. */
export class SizeSlider {
  #sizes = [];

  constructor(settings) {
    this.settings = settings;
    this.slider = byId("size-slider");
    this.slider.addEventListener("input", () => {
      settings.set("sizes", { ...settings.sizes, [this.model]: this.chosen });
      this.#show();
    });
  }

  /** The chosen size's name; `undefined` for a model of one size. */
  get chosen() {
    return this.#sizes[Number(this.slider.value)]?.name;
  }

  offer(model) {
    this.model = model?.id;
    this.#sizes = model?.sizes?.length > 1 ? model.sizes : [];
    byId("size").hidden = this.#sizes.length === 0;
    if (this.#sizes.length === 0) return;
    this.slider.max = String(this.#sizes.length - 1);
    const kept = this.#sizes.findIndex(size => size.name === this.settings.sizes[this.model]);
    this.slider.value = String(kept >= 0 ? kept : this.#sizes.length - 1);
    byId("size-marks").replaceChildren(...this.#sizes.map((_, index) => element("option", { value: String(index) })));
    this.#show();
  }

  #show() {
    const { name, parameters } = this.#sizes[Number(this.slider.value)];
    const count = parameters ? `${parameterCount(parameters)} parameters` : "";
    byId("size-value").replaceChildren(element("strong", {}, name), count && element("span", { class: "size-count" }, count));
    this.slider.setAttribute("aria-valuetext", [name, count].filter(Boolean).join(", "));
  }
}
