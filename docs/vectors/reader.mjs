// A small reader of staticstore sites, in JavaScript, written from docs/format.md alone: levels A
// and B, and the search of a key by blocks.  It shows that the text suffices; it is not a library.
// Numbers in brackets are sections of the text.
//
// `get(path, options)` is the host: it takes a path below the root, quoted, and returns a promise
// of {status, body (Buffer), etag, lastModified (text), part (start of a 206)}.  `options` may
// have `ifNoneMatch`, `ifModifiedSince`, `noCache`, and `range` ([start, end]).

import { createHash } from "node:crypto";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{},:]/gs; // texts and structure of valid JSON
const SHA256 = /^[0-9a-f]{64}$/, HEX32 = /^[0-9a-f]{32}$/, PREFIX = /^[0-9a-f]{16}$/;
const MOST = { head: 4096, index: 2 ** 30, root: 16 << 20, list: 64 << 20, stretch: 2 << 20 }; // [14]

class Refused extends Error {} // a document that is none
class Failed extends Error {} // a poll that failed

const refuse = (why) => { throw new Refused(why); };
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isDigest = (value) => typeof value === "string" && SHA256.test(value);
export const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

// -- [3] JSON, numbers and digests

export function decode(bytes, { mayHaveMark = false } = {}) {
  let text;
  try { text = utf8.decode(bytes); } catch { refuse("not UTF-8"); }
  return mayHaveMark && text.startsWith("\ufeff") ? text.slice(1) : text;
}

export function parse(text) {
  checkDepth(text);
  let value;
  try { value = JSON.parse(text); } catch (error) { refuse(error.message); }
  const waiting = [value];
  while (waiting.length) {
    const one = waiting.pop();
    if (typeof one === "number" && !Number.isFinite(one)) refuse("a number overflows");
    if (typeof one === "string" && !one.isWellFormed()) refuse("a lone surrogate");
    if (typeof one === "object" && one !== null) {
      for (const [name, item] of Object.entries(one)) waiting.push(name, item);
    }
  }
  return value;
}

function checkDepth(text) { // an entry may have 100 levels, and is itself in an object
  let depth = 0;
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === "{" || token === "[") depth += 1;
    if (token === "}" || token === "]") depth -= 1;
    if (depth > 101) refuse("nested too deeply");
  }
}

// The names of the members of an object, and the text of each value as it came.  Numbers stay
// as they are written, which JSON.parse does not preserve.
export function members(text) {
  const found = [];
  let depth = 0, name = null, start = -1;
  for (const match of text.matchAll(TOKENS)) {
    const token = match[0];
    if (token === "{" || token === "[") depth += 1;
    const isEnd = depth === 1 && (token === "," || token === "}");
    if (isEnd && name !== null) {
      found.push([name, text.slice(start, match.index).trim()]);
      name = null;
    } else if (depth === 1 && name === null && token.startsWith('"')) {
      name = JSON.parse(token);
    } else if (depth === 1 && token === ":") {
      start = match.index + 1;
    }
    if (token === "}" || token === "]") depth -= 1;
  }
  return found;
}

export const isCount = (value) => Number.isSafeInteger(value) && value >= 0; // [3.2]

export function compare(one, other) { // by code point [3.3]
  const ones = Array.from(one), others = Array.from(other);
  for (let at = 0; at < Math.min(ones.length, others.length); at += 1) {
    const difference = ones[at].codePointAt(0) - others[at].codePointAt(0);
    if (difference) return difference;
  }
  return ones.length - others.length;
}

export const numberOf = (line) => BigInt(`0x${sha256(line).slice(0, 32)}`); // [3.4]
export const sumText = (sum) => BigInt.asUintN(128, sum).toString(16).padStart(32, "0");

// -- [4] keys and URLs

export function isKey(text) {
  return !text.split("/").some((segment) => ["", ".", ".."].includes(segment))
    && !text.startsWith("\\")
    && !/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(text)
    && text.isWellFormed();
}

export function quote(text) {
  return Array.from(Buffer.from(text), (byte) => {
    const letter = String.fromCharCode(byte);
    return /[A-Za-z0-9\-._~/]/.test(letter) ? letter : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
}

export function valueUrl(root, dataPath, key) {
  if (root.includes("#")) refuse("a fragment");
  const parts = new URL(root.replace(/%(?![0-9A-Fa-f]{2})/g, "%25"));
  // URL leaves some characters that no path may have.
  const quotedPath = parts.pathname.replace(/[[\]|^]/g, encodeURIComponent);
  const path = quotedPath.endsWith("/") ? quotedPath : `${quotedPath}/`;
  return `${parts.protocol}//${parts.host}${path}${quote(dataPath + key)}${parts.search}`;
}

// -- [5] the index

const TIME = /^(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|\+00:00)$/;
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const TYPE = new RegExp(`^${TOKEN}/${TOKEN}(?:[ \\t]*;[\\x20-\\x7e]*)?$`);
const PACK = /^packs\/[0-9a-f]{64}\.zip$/;

export function isTime(value) {
  const found = typeof value === "string" && TIME.exec(value);
  if (!found) return false;
  const [year, month, day] = found.slice(1, 4).map(Number);
  const date = new Date(Date.UTC(2000, 0, 1));
  date.setUTCFullYear(year, month - 1, day);
  return year > 0 && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
}

const isPacked = (value) => Array.isArray(value) && value.length === 2
  && typeof value[0] === "string" && Number.isInteger(value[1]) && value[1] >= 0;

const isStored = (value) => Array.isArray(value) && value.length === 3
  && value[0] === "zstd" && isCount(value[1]) && isDigest(value[2]);

const isPlaced = (value) => isObject(value) && Object.keys(value).length === 1 && typeof value.href === "string";
const REFUSED = /[\s\\\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]/;
const REFERENCE = /^(?:([A-Za-z][A-Za-z0-9+.-]*):)?(\/\/([^/?#]*))?/;

function isUsable(href) { // [5.2]; of a root at http
  if (/^data:/i.test(href)) return Buffer.byteLength(href) <= 1 << 16 && href.includes(",");
  if (href.length > 2048 || REFUSED.test(href)) return false;
  const [, scheme, , authority] = REFERENCE.exec(href);
  if (scheme === undefined && authority === undefined) return true;
  if (!["http", "https", undefined].includes(scheme?.toLowerCase())) return false;
  const port = /:(\d*)$/.exec(authority ?? "")?.[1];
  return /^(?:\[[0-9A-Fa-f:.]+\]|[^@:%*\[\]]+)(?::\d*)?$/.test(authority ?? "") && !(port > 65535) && port !== "0";
}

export function visible(entry) { // [5.2]
  const { packed, placed, stored, ...others } = entry;
  if ("packed" in entry && !isPacked(packed)) others.packed = packed;
  if ("placed" in entry && !isPlaced(placed)) others.placed = placed;
  if ("stored" in entry && !isStored(stored)) others.stored = stored;
  return others;
}

export function content(entry) {
  const { size, modified, packed } = entry;
  return {
    size: isCount(size) ? size : null,
    sha256: isDigest(entry.sha256) ? entry.sha256 : null,
    modified: isTime(modified) ? modified : null,
    media_type: typeof entry.media_type === "string" && TYPE.test(entry.media_type) ? entry.media_type : null,
    pack: isPacked(packed) && PACK.test(packed[0]) ? packed : null,
    placed: isPlaced(entry.placed) ? entry.placed.href : null,
    stored: isStored(entry.stored) ? entry.stored : null,
  };
}

export function parseIndex(bytes) { // [5.1]: the text of each entry, by key
  const text = decode(bytes, { mayHaveMark: true });
  if (!isObject(parse(text))) refuse("not an object");
  const entries = new Map(), leftOut = [];
  for (const [key, raw] of members(text)) entries.set(key, raw);
  for (const [key, raw] of entries) {
    const { placed } = raw.startsWith("{") ? JSON.parse(raw) : {};
    if (!isKey(key) || !raw.startsWith("{") || (isPlaced(placed) && !isUsable(placed.href))) {
      leftOut.push(key);
      entries.delete(key);
    }
  }
  return { entries, leftOut };
}

export function sameJson(one, other) {
  if (Array.isArray(one)) {
    return Array.isArray(other) && one.length === other.length && one.every((item, at) => sameJson(item, other[at]));
  }
  if (!isObject(one) || !isObject(other)) return one === other;
  const names = Object.keys(one);
  return names.length === Object.keys(other).length
    && names.every((name) => Object.hasOwn(other, name) && sameJson(one[name], other[name]));
}

const quoted = (text) => JSON.stringify(text); // also canonical [5.3]: it escapes the same
export const lineOf = (key, raw) => `${quoted(key)}:${raw}`;

export function document(entries) { // [5.3], if the texts of the entries are canonical
  const lines = [...entries.keys()].sort(compare).map((key) => lineOf(key, entries.get(key)));
  return Buffer.from(lines.length ? `{\n${lines.join(",\n")}\n}\n` : "{\n}\n");
}

export function changesBetween(old, now) { // [7.2]
  const found = [];
  for (const key of new Set([...old.keys(), ...now.keys()])) {
    const [before, after] = [old.get(key), now.get(key)];
    if (before === after) continue;
    if (before === undefined) found.push(["set", key]);
    else if (after === undefined) found.push(["delete", key]);
    else if (!sameJson(visible(JSON.parse(before)), visible(JSON.parse(after)))) found.push(["update", key]);
  }
  return found.sort((one, other) => compare(one[1], other[1]));
}

// -- [6] the head

function checked(named, folder, ending) {
  if (!isObject(named) || !isCount(named.size) || !isDigest(named.sha256)) refuse("names no document");
  const href = `${folder}/${named.sha256}${ending}`;
  if (named.href !== href) refuse("an href is not made of its digest");
  return { href, size: named.size, sha256: named.sha256 };
}

export function parseHead(bytes) {
  if (bytes.length > MOST.head) refuse("too large");
  const head = parse(decode(bytes));
  if (!isObject(head) || head.format !== "staticstore-head/1") refuse("another format");
  const { lineage, generation, index, changes = [], blocks = null, about = null, table = null } = head;
  if (typeof lineage !== "string" || !HEX32.test(lineage) || !isCount(generation)) refuse("no lineage or generation");
  const named = checked(index, "index", ".json");
  const { sum = null } = index;
  if (!isCount(index.entries)) refuse("no number of entries");
  if (sum !== null && (typeof sum !== "string" || !HEX32.test(sum))) refuse("no sum");
  if (!Array.isArray(changes)) refuse("no list of changes");
  const spans = changes.map((span) => {
    const file = checked(span, "changes", ".jsonl");
    if (!Array.isArray(span.from) || !span.from.every((one) => typeof one === "string" && PREFIX.test(one))) refuse("no prefixes");
    if ("count" in span && !isCount(span.count)) refuse("no count");
    return { ...file, from: span.from };
  });
  if (about !== null) checked({ href: `about/${about.sha256}.json`, ...about }, "about", ".json");
  if (table !== null) checked(table, "index", ".parquet");
  return {
    lineage, generation, sum, spans,
    published: isTime(head.published) ? Date.parse(head.published) : null,
    index: named,
    blocks: blocks === null ? null : checked(blocks, "blocks", ".json"),
  };
}

// -- [7] changes

export function parseChanges(bytes) {
  const states = new Map();
  for (const line of decode(bytes).replace(/\n$/, "").split("\n")) {
    if (line === "" && bytes.length === 0) break;
    const change = parse(line);
    if (!isObject(change) || typeof change.key !== "string" || !isKey(change.key)) refuse("no key");
    if (change.metadata !== null && !isObject(change.metadata)) refuse("no metadata");
    const raw = new Map(members(line)).get("metadata");
    states.set(change.key, raw === "null" ? null : raw);
  }
  return states;
}

// -- [8] blocks

export function parseRoot(bytes) {
  const root = parse(decode(bytes));
  if (!isObject(root) || root.format !== "staticstore-blocks/1") refuse("another format");
  if (!isCount(root.modulus) || root.modulus < 1) refuse("no modulus");
  const list = checked(root, "blocks", ".jsonl");
  return { list, pages: checkStretches(root.pages, 0, list.size) };
}

export function parseBlocks(bytes) {
  const rows = decode(bytes).trimEnd().split("\n").map(parse);
  const last = rows.at(-1);
  return checkStretches(rows, rows[0]?.[1], last?.[1] + last?.[2]);
}

function checkStretches(rows, start, end) {
  if (!Array.isArray(rows)) refuse("no list");
  let at = start, before = "";
  for (const row of rows) {
    if (!Array.isArray(row) || row.length !== 4) refuse("no row");
    const [first, offset, size, digest] = row;
    if (typeof first !== "string" || offset !== at || !isCount(size) || !size || !isDigest(digest)) refuse("a row");
    if (compare(first, before) <= 0) refuse("not in order");
    [at, before] = [offset + size, first];
  }
  if (at !== end) refuse("not the whole");
  return rows;
}

export function holding(rows, key) { // the last whose first key is not after the key
  const after = rows.findIndex((row) => compare(row[0], key) > 0);
  return (after < 0 ? rows.length : after) - 1;
}

// -- [11, 12] a reader that polls

const ABSENT = [400, 401, 403, 404, 405, 406, 409, 410, 451, 501];
const NOT_REPEATED = [401, 404, 407, 408, 410, 425, 429];

export class Reader {
  constructor(get) {
    this.get = get;
    this.entries = null; // what is held
    this.digest = null;
    this.heldHead = null; // under which it was read
    this.head = this.left = this.sha256 = this.modified = null; // [12.1]
    this.older = this.absent = this.polls = 0;
    this.served = new Set();
    this.validators = {}; // of the last answer that was accepted, by path
    this.isFailing = false;
  }

  get isStale() { return this.older >= 2 || this.isFailing; }

  /** Poll once; return what was set, updated and deleted, or throw. */
  async poll() { // [12.2]
    this.polls += 1;
    const before = this.entries;
    try {
      await this.#poll();
      this.isFailing = false;
    } catch (error) {
      this.isFailing = true;
      throw error;
    }
    return before === null || before === this.entries ? [] : changesBetween(before, this.entries);
  }

  async #poll() {
    const knows = this.head !== null && this.absent <= 2;
    const asks = this.entries === null || this.heldHead !== null || knows || this.polls === 1 || this.polls % 10 === 0;
    if (!asks) return this.#plain();
    const answer = await this.#current("index.head.json", MOST.head);
    if (answer.status === 304) {
      this.absent = 0;
      if (this.older) this.#accepts(true);
      return undefined;
    }
    let head = null;
    if (answer.status === 200) {
      try { head = parseHead(answer.body); } catch (error) { if (!(error instanceof Refused)) throw error; }
    } else if (!this.#isAbsent(answer.status, this.head !== null)) throw new Failed(answer.status);
    if (head === null) {
      if (this.head === null) return this.#plain();
      this.absent = Math.min(this.absent + 1, 3);
      if (this.absent <= 2) throw new Failed("the head is absent");
      return this.#plain();
    }
    this.absent = 0;
    if (!this.#accepts(this.#isOlderHead(head)) && this.entries !== null) return undefined;
    return this.#follow(head, answer);
  }

  #isAbsent(status, isKnown) { return ABSENT.includes(status) || (status >= 500 && !isKnown); } // [11.3]

  #accepts(isOlder) { // [12.4]
    this.older = isOlder ? this.older + 1 : 0;
    if (isOlder && this.older < 5) return false;
    this.older = 0;
    return true;
  }

  #isOlderHead(head) { // [12.3]
    const known = this.head;
    if (known === null) return false;
    if (head.lineage !== known.lineage) return head.lineage === this.left;
    if (head.generation !== known.generation) return head.generation < known.generation;
    return head.index.sha256 !== known.index.sha256;
  }

  #isOlderIndex(digest, modified) {
    if (digest === this.sha256 || digest === this.head?.index.sha256) return false;
    const wasLater = modified !== null && this.modified !== null && modified < this.modified;
    if (this.head === null) return wasLater;
    if (modified === null || this.head.published === null || modified <= this.head.published) return true;
    return wasLater;
  }

  async #current(path, most) { // [11.4]
    const isDoubtful = this.older >= 2;
    const conditions = isDoubtful ? {} : this.validators[path] ?? {};
    const isConditional = Object.keys(conditions).length > 0;
    const answer = await this.get(path, isDoubtful ? { noCache: true } : conditions);
    const { status } = answer;
    const isRefused = isConditional && ((status > 399 && status < 500 && !NOT_REPEATED.includes(status)) || [501, 505].includes(status));
    const isOdd = status < 400 && status !== 200 && !(status === 304 && isConditional);
    if (!isRefused && !isOdd) return this.#bounded(answer, most);
    const again = await this.get(path, { noCache: true });
    if (again.status < 400 && again.status !== 200) throw new Failed(again.status);
    return this.#bounded(again, most);
  }

  #bounded(answer, most) { // larger than any head: no head; larger than any index: no index
    return answer.status === 200 && answer.body.length > most ? { ...answer, body: Buffer.alloc(0) } : answer;
  }

  async #document(named, most) { // verified, or null if it is absent [6]
    if (named.size > most) return null;
    const folder = named.href.split("/")[0];
    const { status, body } = await this.get(named.href, {});
    if (status >= 400 && !this.#isAbsent(status, this.served.has(folder))) throw new Failed(status);
    if (status !== 200 || body.length !== named.size || sha256(body) !== named.sha256) return null;
    this.served.add(folder);
    return body;
  }

  async #follow(head, answer) { // [7.2, 11.2]
    let entries = head.index.sha256 === this.digest ? this.entries : await this.#byChanges(head);
    entries ??= await this.#whole(head);
    if (this.head !== null && this.head.lineage !== head.lineage) this.left = this.head.lineage;
    [this.head, this.heldHead, this.sha256, this.modified] = [head, head, head.index.sha256, null];
    [this.entries, this.digest] = [entries, head.index.sha256];
    this.#confirm("index.head.json", answer);
  }

  async #byChanges(head) {
    const isSame = this.heldHead === null || this.heldHead.lineage === head.lineage;
    const start = head.spans.findIndex((span) => span.from.includes(this.digest?.slice(0, 16)));
    if (this.entries === null || !isSame || start < 0) return null;
    const way = head.spans.slice(start);
    if (way.reduce((size, span) => size + span.size, 0) >= head.index.size) return null;
    const entries = new Map(this.entries);
    for (const span of way) {
      const body = await this.#document(span, head.index.size);
      if (body === null) return null;
      try {
        for (const [key, raw] of parseChanges(body)) {
          if (raw === null) entries.delete(key);
          else entries.set(key, raw);
        }
      } catch (error) {
        if (error instanceof Refused) return null;
        throw error;
      }
    }
    return sha256(document(entries)) === head.index.sha256 ? entries : null;
  }

  async #whole(head) {
    const body = await this.#document(head.index, MOST.index) ?? await this.#document({ ...head.index, href: "index.json" }, MOST.index);
    if (body === null) throw new Failed("the index that the head names is not there");
    return parseIndex(body).entries;
  }

  async #plain() {
    const answer = await this.#current("index.json", MOST.index);
    if (answer.status === 304) {
      if (this.older) this.#accepts(true);
      return;
    }
    if (answer.status !== 200) throw new Failed(answer.status);
    const { entries } = parseIndex(answer.body);
    const digest = sha256(answer.body);
    const modified = answer.lastModified ? Date.parse(answer.lastModified) : null;
    const isOlder = this.#isOlderIndex(digest, modified);
    if (!this.#accepts(isOlder) && this.entries !== null) return;
    if (isOlder) this.head = null;
    if (digest !== this.head?.index.sha256) [this.sha256, this.modified] = [digest, modified];
    if (digest !== this.digest) [this.entries, this.digest] = [entries, digest];
    this.heldHead = null;
    this.#confirm("index.json", answer);
  }

  #confirm(path, { etag, lastModified }) {
    this.validators = { [path]: etag ? { ifNoneMatch: etag } : lastModified ? { ifModifiedSince: lastModified } : {} };
  }

  /** Find the text of an entry by blocks; undefined if there is none, null if blocks are of no use. */
  async find(head, key) { // [8.4]
    const body = head.blocks && await this.#document(head.blocks, MOST.root);
    if (!body) return null;
    const { list, pages } = parseRoot(body);
    const page = pages[holding(pages, key)];
    if (page === undefined) return undefined;
    const rows = await this.#stretch(list, page);
    const blocks = rows && parseBlocks(rows);
    const block = blocks?.[holding(blocks, key)];
    const lines = block && await this.#stretch(head.index, block);
    if (!lines) return null;
    return new Map(members(`{${decode(lines).replace(/,?\n$/, "")}}`)).get(key);
  }

  async #stretch(named, [, offset, size, digest]) {
    if (size > MOST.stretch) return null;
    const { status, body, part } = await this.get(named.href, { range: [offset, offset + size] });
    return status === 206 && part === offset && sha256(body) === digest ? body : null;
  }
}
