// What is shown of the chosen tensor: facts, commands, neighbours, the path from the inputs.

const REASONS = {
  h: "This is a handle of a variable, a table or the like. No server can return it.",
  p: "This is a weight, a constant, or a node that only hands on what others compute. smpatch suggest does not offer it.",
  w: "The command line cannot write this name.",
  "-": "smpatch suggest does not offer it: it does not depend on the inputs alone, or not on them at all.",
};
const KEY = 0, ARGUMENT = 1;
const FIRST_SHOWN = 8, LAST_SHOWN = 16, MORE_SHOWN = 200;

class Detail {
  constructor(choose) {
    this.choose = choose;
    for (const id of ["alias", "key"]) byId(id).addEventListener("input", () => this.writeCommands());
    byId("levels").addEventListener("change", () => this.drawGraph());
    byId("weights").addEventListener("change", () => this.drawGraph());
  }

  clear() {
    this.tensor = -1;
    byId("unchosen").hidden = false;
    byId("chosen").hidden = true;
    byId("detail").setAttribute("aria-labelledby", "unchosen-title");
  }

  show(signature, computation, section, t) {
    Object.assign(this, { signature, computation, section, tensor: t });
    byId("unchosen").hidden = true;
    byId("chosen").hidden = false;
    byId("detail").setAttribute("aria-labelledby", "detail-title");
    this.showFacts();
    this.showCommands();
    this.drawGraph();
    this.showPath();
    byId("detail").scrollTop = 0;
  }

  showFacts() {
    const { computation, tensor: t } = this;
    const name = computation.tensor(t);
    const cut = computation.name(t).lastIndexOf("/") + 1;
    byId("detail-title").replaceChildren(
      element("span", { class: "scope" }, printable(name.slice(0, cut))),
      element("span", {}, printable(name.slice(cut))));
    const facts = [
      ["Operation", printable(computation.op(t))],
      ["Type", computation.type(t)],
      ["Shape", computation.shape(t)],
    ];
    const calls = computation.calls(computation.callOf(t)).map(printable).join(" › ");
    if (calls) facts.push(["Inside", calls], ["Function", printable(computation.functionOf(t))]);
    const input = computation.inputs.get(t), output = computation.outputs.get(t);
    if (input !== undefined) facts.push(["Input", printable(input)]);
    if (output !== undefined) facts.push(["Output", printable(output)]);
    byId("tensor-facts").replaceChildren(...facts.map(([term, text]) =>
      element("div", {}, element("dt", {}, term), element("dd", {}, text))));
  }

  showCommands() {
    const { computation, signature, tensor: t } = this;
    const state = computation.state(t);
    const offered = (state === "a" || state === "x") && signature.add;
    let why = "";
    if (!offered) {
      if (computation.inputs.has(t)) why = `This is the input ${printable(computation.inputs.get(t))} of the signature.`;
      else if (computation.outputs.has(t)) why = `This is the output ${printable(computation.outputs.get(t))} of the signature already.`;
      else why = (state !== "h" && printable(signature.why)) || REASONS[state] || REASONS["-"];
    }
    byId("refusal").hidden = Boolean(offered);
    byId("refusal").textContent = why;
    byId("commands").hidden = !offered;
    if (!offered) return;
    byId("alias").value = computation.written(t).alias;
    byId("key").value = this.section.key;
    this.writeCommands();
  }

  writeCommands() {
    const { computation, signature, section, tensor: t } = this;
    const alias = byId("alias").value, key = byId("key").value;
    const argument = `${alias}=${computation.written(t).tensor}`;
    const chosen = { [KEY]: key, [ARGUMENT]: argument };
    const aliasFault = !alias || !isPrintable(alias) || /[,()=]/.test(alias) || alias !== alias.trim()
      ? "Write a name without commas, parentheses and =." : "";
    const taken = section.signatures.some((each) => each.key === key);
    const keyFault = !key ? "Write a key." : taken ? `There is a signature ${printable(key)} already.` : "";
    const used = signature.rows.some((row) => row.kind === "output" && row.alias === alias);
    const method = printable(signature.method || "");
    byId("alias").setAttribute("aria-invalid", String(Boolean(aliasFault)));
    byId("key").setAttribute("aria-invalid", String(Boolean(keyFault)));
    this.box("add", "A new signature", aliasFault || keyFault, signature.add, chosen);
    const title = `One more output of ${printable(signature.key)}`;
    const editFault = !signature.edit ? `The method ${method} allows no further outputs.`
      : used ? `${printable(signature.key)} has an output ${printable(alias)} already.` : "";
    this.box("edit", title, aliasFault || editFault, signature.edit, chosen);
  }

  box(id, title, fault, form, chosen) {
    byId(id).replaceChildren(...(fault
      ? [element("div", { class: "title" }, title), element("p", { class: "fault" }, fault)]
      : commandBox(title, words(form, chosen))));
  }

  drawGraph() {
    if (this.tensor < 0) return;
    const host = byId("graph");
    const { svg, left, center, middle } = drawing(
      this.computation, this.tensor, Number(byId("levels").value), byId("weights").checked, (t) => this.chooseNode(t));
    host.replaceChildren(svg);
    host.scrollLeft = center - host.clientWidth / 2;
    host.scrollTop = middle - host.clientHeight / 2;
    const more = left ? `At least ${counted(left, "neighbour is", "neighbours are")} not drawn. ` : "";
    byId("graph-note").textContent = `${more}What a tensor is computed from stands above it. Calls are left out.`;
  }

  chooseNode(t) {
    this.choose(t);
    const box = byId("graph").querySelector(".box.chosen");
    if (box) box.focus({ preventScroll: true });
  }

  showPath() {
    this.way = this.computation.path(this.tensor);
    this.shown = this.way.length <= FIRST_SHOWN + LAST_SHOWN ? this.way.length : FIRST_SHOWN;
    this.listPath();
  }

  listPath() {
    const { way, computation } = this;
    const item = (at) => {
      const t = way[at];
      const button = element("button", { type: "button", class: "step", "aria-current": t === this.tensor ? "true" : null },
        element("span", { class: "step-name" }, printable(computation.tensor(t))),
        element("span", { class: "op" }, printable(computation.op(t))),
        element("span", { class: "type" }, `${computation.type(t)} ${computation.shape(t)}`));
      button.addEventListener("click", () => this.choose(t));
      return element("li", { value: at + 1 }, button);
    };
    const items = [];
    const end = Math.max(this.shown, way.length - LAST_SHOWN);
    for (let at = 0; at < Math.min(this.shown, way.length); at += 1) items.push(item(at));
    if (end > this.shown) {
      const more = element("button", { type: "button", class: "plain" }, `Show ${Math.min(MORE_SHOWN, end - this.shown)} of ${counted(end - this.shown, "step", "steps")} between`);
      more.addEventListener("click", () => {
        const focus = this.shown;
        this.shown = Math.min(this.shown + MORE_SHOWN, end);
        this.listPath();
        const next = byId("path").children[focus];
        if (next) next.querySelector("button").focus();
      });
      items.push(element("li", { class: "between" }, more));
    }
    for (let at = end; at < way.length; at += 1) items.push(item(at));
    byId("path").replaceChildren(...items);
    byId("path-note").textContent = way.length
      ? `A shortest way: ${counted(way.length, "tensor", "tensors")}.`
      : "No input leads to it.";
  }
}
