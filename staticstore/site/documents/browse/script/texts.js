// ---- texts ----

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function drawing(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

function textOf(value) {
  return value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
}

function isSize(value) { return Number.isSafeInteger(value) && value >= 0; }

function sizeText(size) {
  const units = ["bytes", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  for (; size >= 999.95 && unit < units.length - 1; unit++) size /= 1000;
  return `${unit ? size.toFixed(1) : size} ${units[unit]}`;
}

function dateText(value) {
  return /^\d{4}-\d\d-\d\d/.exec(typeof value === "string" ? value : "")?.[0] ?? "";
}

const LETTERS = {ß: "ss", æ: "ae", œ: "oe", ø: "o", đ: "d", ð: "d", þ: "th", ł: "l", ħ: "h", ı: "i", ς: "σ"};

function folded(text) {         // without case and accents; the vowel signs of other scripts stay
  if (/^[\0-\x7f]*$/.test(text)) return text.toLowerCase();
  const bare = text.normalize("NFKD").toLowerCase().replace(/[\u0300-\u036f]/g, "");
  return bare.replace(/[ßæœøđðþłħıς]/g, letter => LETTERS[letter]);
}

// For comparing names as people expect: file2 before file10.  A count of digits precedes each number.
function natural(text) {
  const counted = (_, digits) => String.fromCharCode(47 + Math.min(digits.length, 10)) + digits;
  return folded(text).replace(/0*(\d+)/g, counted);
}

function compare(one, other) { return one < other ? -1 : one > other ? 1 : 0; }

function decoded(text) {        // a URL typed by hand may have nothing quoted
  try { return decodeURIComponent(text); } catch { return text; }
}

function countText(count, one, many) { return `${count.toLocaleString("en")} ${count === 1 ? one : many}`; }
