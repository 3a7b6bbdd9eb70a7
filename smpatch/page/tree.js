// The list of tensors: a tree as WAI-ARIA describes it, of which the visible rows alone exist.

const ROW = 28, SPARE = 8;

class Tree {
  constructor(host, { choose, nothing }) {
    this.host = host;
    this.choose = choose;
    this.nothing = nothing;
    this.space = element("div", { class: "rows", role: "presentation" });
    host.append(this.space);
    this.rows = null;
    this.active = -1;
    this.chosen = -1;
    this.typed = "";
    host.addEventListener("scroll", () => this.draw(), { passive: true });
    host.addEventListener("keydown", (event) => this.press(event));
    host.addEventListener("click", (event) => this.click(event));
    host.addEventListener("focus", () => { if (this.active < 0 && this.count) this.activate(0); });
    new ResizeObserver(() => this.draw()).observe(host);
  }

  get count() { return this.rows ? this.rows.all.length : 0; }

  show(rows) {
    this.rows = rows;
    this.active = rows ? rows.all.findIndex((row) => row.tensor !== undefined && row.tensor === this.chosen) : -1;
    this.host.scrollTop = 0;
    if (this.active >= 0) this.scrollTo(this.active);
    this.resize();
  }

  resize() {
    this.space.style.height = `${this.count * ROW}px`;
    this.host.hidden = this.count === 0;
    this.nothing(this.count === 0);
    this.draw();
  }

  draw() {
    if (!this.rows) { this.space.replaceChildren(); return; }
    const from = Math.max(0, Math.floor(this.host.scrollTop / ROW) - SPARE);
    const to = Math.min(this.count, Math.ceil((this.host.scrollTop + this.host.clientHeight) / ROW) + SPARE);
    const made = [];
    for (let at = from; at < to; at += 1) made.push(this.row(at));
    if (this.active >= 0 && (this.active < from || this.active >= to)) made.push(this.row(this.active));
    this.space.replaceChildren(...made);
    if (this.active >= 0) this.host.setAttribute("aria-activedescendant", `row-${this.active}`);
    else this.host.removeAttribute("aria-activedescendant");
  }

  row(at) {
    const row = this.rows.all[at];
    const isScope = row.scope !== undefined;
    const made = element("div", {
      id: `row-${at}`,
      role: "treeitem",
      class: `row${at === this.active ? " active" : ""}${row.tensor === this.chosen && !isScope ? " chosen" : ""}`,
      "aria-level": row.level,
      "aria-setsize": row.setSize,
      "aria-posinset": row.position,
      "aria-selected": String(!isScope && row.tensor === this.chosen),
      "aria-expanded": isScope ? String(row.open) : null,
      "aria-label": this.label(row),
    });
    made.dataset.at = at;
    made.style.top = `${at * ROW}px`;
    made.style.paddingLeft = `${8 + (row.level - 1) * 16}px`;
    made.append(element("span", { class: `twisty${isScope ? (row.open ? " open" : " shut") : ""}`, "aria-hidden": "true" }));
    const name = element("span", { class: "name" });
    const before = element("span", { class: "before" });
    const above = isScope ? row.labels.slice(0, -1) : row.labels;
    for (const scope of above) {
      before.append(element("span", { class: scope.isCall ? "call" : "" }, printable(scope.label)));
      before.append(element("span", { class: "slash" }, scope.isCall ? " › " : "/"));
    }
    if (above.length) name.append(before);
    if (isScope) name.append(element("span", { class: row.scope.isCall ? "last call" : "last" }, printable(row.scope.label)));
    made.append(name);
    if (isScope) made.append(element("span", { class: "size" }, row.scope.size.toLocaleString("en")));
    else this.describe(made, name, row.tensor);
    return made;
  }

  describe(made, name, t) {
    const computation = this.rows.computation;
    const op = computation.op(t);
    const last = printable(computation.name(t).split("/").pop());
    name.append(element("span", { class: "leaf" }, last));
    if (!computation.isOnly(t)) name.append(element("span", { class: "port" }, `:${computation.index(t)}`));
    if (computation.inputs.has(t)) made.append(element("span", { class: "mark input" }, "input"));
    if (computation.outputs.has(t)) made.append(element("span", { class: "mark output" }, "output"));
    made.append(element("span", { class: "op" }, printable(op)));
    made.append(element("span", { class: "type" }, `${computation.type(t)} ${computation.shape(t)}`));
  }

  label(row) {
    const labels = row.labels.map((scope) => printable(scope.label)).join(" / ");
    if (row.scope) return `${labels}, ${counted(row.scope.size, "tensor", "tensors")}`;
    const computation = this.rows.computation;
    const t = row.tensor;
    const name = printable(computation.name(t).split("/").pop());
    const port = computation.isOnly(t) ? "" : `:${computation.index(t)}`;
    return `${labels ? `${labels} / ` : ""}${name}${port}, ${printable(computation.op(t))}, ${computation.type(t)} ${computation.shape(t)}`;
  }

  scrollTo(at) {
    const top = at * ROW;
    if (top < this.host.scrollTop) this.host.scrollTop = top;
    else if (top + ROW > this.host.scrollTop + this.host.clientHeight) {
      this.host.scrollTop = top + ROW - this.host.clientHeight;
    }
  }

  activate(at) {
    this.active = Math.max(0, Math.min(at, this.count - 1));
    this.scrollTo(this.active);
    this.draw();
  }

  toggle(at, open) {
    const row = this.rows.all[at];
    if (!row.scope || row.open === open) return;
    this.rows.set(row.scope, open);
    this.rows.flatten();
    this.resize();
  }

  select(t) {
    this.chosen = t;
    if (!this.rows) return false;
    const at = this.rows.reveal(t);
    this.resize();
    if (at >= 0) this.activate(at);
    else { this.active = -1; this.draw(); }
    return at >= 0;
  }

  click(event) {
    const target = event.target.closest(".row");
    if (!target) return;
    const at = Number(target.dataset.at);
    this.active = at;
    this.enter();
    this.host.focus({ preventScroll: true });
  }

  enter() {
    const row = this.rows.all[this.active];
    if (row.scope) { this.toggle(this.active, !row.open); this.draw(); }
    else this.choose(row.tensor);
  }

  above(at) {
    const { level } = this.rows.all[at];
    let up = at - 1;
    while (up >= 0 && this.rows.all[up].level >= level) up -= 1;
    return up;
  }

  press(event) {
    if (!this.count || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = Math.max(this.active, 0);
    const row = this.rows.all[at];
    const page = Math.max(1, Math.floor(this.host.clientHeight / ROW) - 1);
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.count - 1, PageDown: at + page, PageUp: at - page };
    if (event.key in moves) this.activate(moves[event.key]);
    else if (event.key === "ArrowRight") {
      if (row.scope && !row.open) this.toggle(at, true);
      else if (row.scope) this.activate(at + 1);
    } else if (event.key === "ArrowLeft") {
      if (row.scope && row.open) this.toggle(at, false);
      else if (this.above(at) >= 0) this.activate(this.above(at));
    } else if (event.key === "Enter" || event.key === " ") this.enter();
    else if (event.key === "*") this.openSiblings(at);
    else if (event.key.length === 1 && event.key !== "/") this.typeAhead(event.key);
    else return;
    event.preventDefault();
  }

  openSiblings(at) {
    const { level } = this.rows.all[at];
    const active = this.rows.all[at];
    const up = this.above(at);
    for (let other = up + 1; other < this.count && this.rows.all[other].level >= level; other += 1) {
      const row = this.rows.all[other];
      if (row.level === level && row.scope) this.rows.set(row.scope, true);
    }
    this.rows.flatten();
    this.resize();
    this.activate(this.rows.all.findIndex((row) => row.scope ? row.scope === active.scope : row.tensor === active.tensor));
  }

  typeAhead(key) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => { this.typed = ""; }, 700);
    this.typed += key.toLowerCase();
    const begin = this.typed.length === 1 ? this.active + 1 : this.active;
    for (let step = 0; step < this.count; step += 1) {
      const at = (begin + step) % this.count;
      const row = this.rows.all[at];
      const name = row.scope ? row.labels[row.labels.length - 1].label : row.labels.length ? row.labels[0].label : this.rows.computation.name(row.tensor).split("/").pop();
      if (name.toLowerCase().startsWith(this.typed)) { this.activate(at); return; }
    }
  }
}
