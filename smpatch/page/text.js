// Text of a model: names are written with escapes where a terminal or a reader would be misled.

const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;
const SAFE = /^[\w@%+=:,./-]+$/;
const SHORT = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function hexadecimal(number, digits) {
  return number.toString(16).padStart(digits, "0");
}

function escaped(character) {
  const code = character.codePointAt(0);
  if (code >= 0xdc80 && code <= 0xdcff) return "\\x" + hexadecimal(code - 0xdc00, 2);
  if (SHORT[character]) return SHORT[character];
  if (code <= 0xff) return "\\x" + hexadecimal(code, 2);
  return code <= 0xffff ? "\\u" + hexadecimal(code, 4) : "\\U" + hexadecimal(code, 8);
}

function printable(text) {
  return text.replace(UNPRINTABLE, escaped);
}

function isPrintable(text) {
  return text.search(UNPRINTABLE) < 0;
}

function bytesOf(character) {
  const code = character.codePointAt(0);
  const bytes = code >= 0xdc80 && code <= 0xdcff ? [code - 0xdc00] : [...new TextEncoder().encode(character)];
  return bytes.map((byte) => "\\x" + hexadecimal(byte, 2)).join("");
}

// A word as a shell takes it, spelt as Python's shlex.quote does; $'...' is for bash, zsh and ksh.
function quoted(word) {
  if (!isPrintable(word)) {
    const inside = [...word].map((each) =>
      isPrintable(each) ? each.replace(/['\\]/, "\\$&") : bytesOf(each));
    return "$'" + inside.join("") + "'";
  }
  return SAFE.test(word) ? word : "'" + word.replaceAll("'", `'"'"'`) + "'";
}

// The words of a form: numbers stand for what is chosen.
function words(form, chosen) {
  return form.map((word) => quoted(typeof word === "number" ? chosen[word] : word));
}

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// Elements are made, never parsed: text stays text.
function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function byId(id) {
  return document.getElementById(id);
}

function announce(text) {
  const status = byId("status");
  status.textContent = "";
  setTimeout(() => { status.textContent = text; }, 30);
}

function counted(count, one, many) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

async function copy(text, source) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without the permission, as in a frame: what is selected is copied.
    getSelection().selectAllChildren(source);
    if (!document.execCommand("copy")) {
      announce("The browser does not copy; the command is selected");
      return false;
    }
  }
  announce("Copied");
  return true;
}

// A command with a button that copies it; its lines break between its words.
function commandBox(title, parts) {
  const command = parts.join(" ");
  const code = element("code", {});
  parts.forEach((word, at) => code.append(at ? " " : "", element("span", { class: "word" }, word)));
  const button = element("button", { type: "button", class: "copy", "aria-label": `Copy: ${title}` }, "Copy");
  button.addEventListener("click", async () => {
    if (await copy(command, code)) {
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    }
  });
  return [element("div", { class: "title" }, title), element("pre", { tabindex: "0" }, code), button];
}
