// The page: reads the data, and lets signature, filter, search and tensor follow each other.

const DATA = JSON.parse(byId("data").textContent);
const PROPOSALS_SHOWN = 30;

class Page {
  constructor(data) {
    this.data = data;
    this.choices = data.sections.flatMap((section) => section.signatures.map((signature) => ({ section, signature })));
    this.computations = new Map();
    this.opened = new Map();
    this.chosenOf = new Map();
    this.filter = "activations";
    this.detail = new Detail((t) => this.choose(t));
    this.tree = new Tree(byId("tree"), {
      choose: (t) => this.choose(t, true),
      nothing: (isEmpty) => { byId("nothing").hidden = !isEmpty; },
    });
    this.showHeader();
    this.fillSignatures();
    this.listen();
    byId("search").value = data.search;
    this.showSignature(this.first());
  }

  // serving_default, or the first whose computation is here.
  first() {
    const has = this.choices.findIndex(({ signature }) => signature.computation && signature.key === "serving_default");
    return Math.max(0, has >= 0 ? has : this.choices.findIndex(({ signature }) => signature.computation));
  }

  showHeader() {
    const { data } = this;
    document.title = `${printable(data.model)} - smpatch`;
    byId("model").textContent = printable(data.model);
    const facts = [data.file, `${data.size.toLocaleString("en")} bytes`];
    for (const section of data.sections) {
      const version = section.tensorflow ? `TensorFlow ${printable(section.tensorflow)}` : "TensorFlow of unknown version";
      facts.push(`${section.tags.map(printable).join(",") || "no tags"}: ${version}, ${section.object_graph ? "with" : "without"} an object graph`);
    }
    facts.push(`made by ${data.generator}`);
    byId("facts").append(...facts.map((text) => element("li", {}, text)));
  }

  differs({ disagreement, rows }) { return Boolean(disagreement) || rows.some((row) => row.differs); }

  fillSignatures() {
    const select = byId("signature");
    let number = 0;
    for (const section of this.data.sections) {
      const options = section.signatures.map((signature) => element("option", { value: number++ },
        printable(signature.key) + (this.differs(signature) ? " (halves differ)" : "")));
      if (this.data.sections.length > 1) {
        select.append(element("optgroup", { label: section.tags.map(printable).join(",") || "no tags" }, ...options));
      } else select.append(...options);
    }
    select.disabled = this.choices.length < 2;
    select.addEventListener("change", () => this.showSignature(Number(select.value)));
  }

  listen() {
    let waiting = 0;
    byId("search").addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => this.list(true), 90);
    });
    byId("search").addEventListener("keydown", (event) => {
      if ((event.key === "ArrowDown" || event.key === "Enter") && this.tree.count) {
        event.preventDefault();
        clearTimeout(waiting);
        this.list(false);
        byId("tree").focus();
        const at = this.tree.rows.all.findIndex((row) => row.tensor !== undefined);
        if (byId("search").value.trim() && at >= 0) this.tree.activate(at);
      }
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
        event.preventDefault();
        byId("search").focus();
        byId("search").select();
      }
    });
    byId("open-all").addEventListener("click", () => this.openAll(true));
    byId("close-all").addEventListener("click", () => this.openAll(false));
    byId("proposals-part").addEventListener("toggle", () => {
      if (byId("proposals-part").open && !byId("proposals").childElementCount) this.moreProposals();
    });
    byId("more-proposals").addEventListener("click", () => this.moreProposals());
  }

  openAll(open) {
    if (!this.tree.rows) return;
    this.tree.rows.setAll(open);
    this.tree.show(this.tree.rows);
  }

  showSignature(at) {
    this.at = at;
    const choice = this.choices[at];
    byId("signature").value = String(at);
    const section = choice ? choice.section : this.data.sections[0];
    byId("notes").replaceChildren(...(section ? section.notes : []).map((text) => element("p", { class: "note" }, printable(text))));
    this.showHalves(choice);
    this.showProposals(section);
    this.computation = null;
    if (choice && choice.signature.computation) {
      if (!this.computations.has(at)) this.computations.set(at, new Computation(choice.signature.computation));
      this.computation = this.computations.get(at);
    }
    this.showFilters();
    this.tree.chosen = this.chosenOf.has(at) ? this.chosenOf.get(at) : -1;
    this.list(false);
    if (this.tree.chosen >= 0) this.detail.show(choice.signature, this.computation, choice.section, this.tree.chosen);
    else this.detail.clear();
  }

  showHalves(choice) {
    const agreement = byId("agreement");
    agreement.className = "";
    if (!choice) {
      agreement.textContent = "This model has no signatures.";
      byId("halves-part").hidden = true;
      return;
    }
    const { section, signature } = choice;
    const both = section.object_graph;
    const isSame = !this.differs(signature);
    agreement.className = both ? (isSame ? "good" : "bad") : "muted";
    agreement.textContent = !both ? "No object graph: Python reads signature_def, too."
      : isSame ? "Both halves agree" : "The halves differ";
    const others = section.signatures.filter((each) => each !== signature && this.differs(each)).length;
    byId("others").textContent = others ? `The halves of ${counted(others, "other signature", "other signatures")} differ.` : "";
    const parts = [];
    if (signature.disagreement) parts.push(element("p", { class: "note" }, printable(signature.disagreement)));
    parts.push(this.halvesTable(signature, both));
    byId("halves").replaceChildren(...parts);
  }

  halvesTable(signature, both) {
    const heads = [["signature_def", "servers read it"]];
    if (both) heads.push(["object graph", "Python reads it"]);
    const head = element("tr", {}, element("th", { scope: "col" }, ""), element("th", { scope: "col" }, "Name"),
      ...heads.map(([name, who]) => element("th", { scope: "colgroup", colspan: "3" }, name, element("span", { class: "muted" }, ` ${who}`))));
    const method = [element("tr", {}, element("th", { scope: "row", colspan: "2" }, "method, function"),
      element("td", { colspan: "3" }, signature.method === null ? "not there" : printable(signature.method) || "no method name"),
      ...(both ? [element("td", { colspan: "3" }, signature.function === null ? "not there" : printable(signature.function))] : []))];
    const cells = (values, present) => values
      ? values.map((text, place) => element("td", { class: place === 2 ? "tensor" : "" }, printable(text)))
      : [element("td", { colspan: "3", class: "absent" }, present ? "not there" : "")];
    const rows = signature.rows.map((row) => element("tr", { class: row.differs ? "differs" : "" },
      element("th", { scope: "row" }, row.kind, row.differs ? element("span", { class: "mark differ" }, "differs") : ""),
      element("td", { class: "alias" }, printable(row.alias)),
      ...cells(row.served, true), ...(both ? cells(row.traced, row.kind !== "default") : [])));
    return element("table", { class: "halves", "aria-label": "Both halves" }, element("thead", {}, head), element("tbody", {}, ...method, ...rows));
  }

  showProposals(section) {
    if (this.proposalsOf === section) return;
    this.proposalsOf = section;
    const proposals = section ? section.proposals : [];
    byId("proposals-part").hidden = !proposals.length;
    byId("proposals-title").textContent = `More that can become a signature (${proposals.length})`;
    byId("proposals").replaceChildren();
    byId("more-proposals").hidden = true;
    byId("proposals-part").open = !this.choices.length;
  }

  moreProposals() {
    const list = byId("proposals");
    const all = this.proposalsOf.proposals;
    const from = list.childElementCount;
    for (const [what, command, refusal] of all.slice(from, from + PROPOSALS_SHOWN)) {
      list.append(element("li", { class: "command" }, ...(command ? commandBox(printable(what), command.map(quoted))
        : [element("div", { class: "title" }, printable(what)), element("p", { class: "fault" }, `Not possible: ${printable(refusal)}`)])));
    }
    byId("more-proposals").hidden = list.childElementCount >= all.length;
  }

  showFilters() {
    const { computation } = this;
    const host = byId("filters");
    const found = new Map(FILTERS.map(([id, , , test]) => {
      const tensors = [];
      if (computation) for (let t = 0; t < computation.count; t += 1) if (test(computation, t)) tensors.push(t);
      return [id, tensors];
    }));
    this.filtered = found;
    if (this.data.everything && !this.touched) this.filter = "everything";
    if (!found.get(this.filter).length) this.filter = found.get("activations").length ? "activations" : "everything";
    const made = FILTERS.map(([id, label, title]) => {
      const input = element("input", { type: "radio", name: "filter", value: id });
      input.checked = id === this.filter;
      input.addEventListener("change", () => { this.touched = true; this.filter = id; this.list(true); });
      return element("label", { title }, input, element("span", {}, label, " ", element("span", { class: "number" }, found.get(id).length.toLocaleString("en"))));
    });
    host.replaceChildren(host.firstElementChild, ...made);
  }

  list(aloud) {
    const { computation } = this;
    const query = byId("search").value.trim();
    if (!computation) {
      this.tree.show(null);
      this.tree.resize();
      this.explain();
      byId("count").textContent = "";
      return;
    }
    const all = this.filtered.get(this.filter);
    const shown = query ? all.filter(sought(computation, query)) : all;
    const rows = new Rows(computation);
    if (!query) {
      const key = `${this.at} ${this.filter}`;
      if (!this.opened.has(key)) this.opened.set(key, rows.opened);
      rows.opened = this.opened.get(key);
    }
    rows.show(shown, { openAll: Boolean(query) || shown.length <= 40 });
    byId("nothing").textContent = query ? "No tensor here has these words. Another filter may show it." : "No tensor is of this kind.";
    this.tree.show(rows);
    const count = query ? `${shown.length.toLocaleString("en")} of ${counted(all.length, "tensor", "tensors")}` : counted(shown.length, "tensor", "tensors");
    byId("count").textContent = count;
    if (aloud) announce(count);
  }

  explain() {
    const choice = this.choices[this.at];
    const host = byId("nothing");
    host.hidden = false;
    if (!choice) host.textContent = "There is no signature whose computation could be shown.";
    else if (choice.signature.look) {
      host.replaceChildren(element("div", { class: "command" }, ...commandBox("This page does not hold its computation; this command makes a page that does", choice.signature.look.map(quoted))));
    } else host.textContent = printable(choice.signature.why);
  }

  choose(t, aloud = false) {
    const { signature, section } = this.choices[this.at];
    this.chosenOf.set(this.at, t);
    this.tree.select(t);
    this.detail.show(signature, this.computation, section, t);
    if (aloud) announce(`${printable(this.computation.tensor(t))} is chosen; its commands and neighbours are in the next part`);
  }
}

window.smpatch = new Page(DATA);
