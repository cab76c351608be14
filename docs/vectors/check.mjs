// Run reader.mjs over the test vectors: node docs/vectors/check.mjs

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as reader from "./reader.mjs";

const folder = dirname(fileURLToPath(import.meta.url));
const read = (name) => readFileSync(join(folder, name));
const json = (name) => JSON.parse(read(name));

let count = 0, failed = 0;

async function check(what, run) {
  count += 1;
  try {
    await run();
  } catch (error) {
    failed += 1;
    console.error(`${what}: ${error.stack}`);
  }
}

function equal(found, expected) {
  if (!reader.sameJson(found, expected)) {
    throw new Error(`${JSON.stringify(found)} is not ${JSON.stringify(expected)}`);
  }
}

// The result of a function, or null if it refuses.
function orNull(run) {
  try { return run(); } catch (error) {
    if (error.constructor.name === "Refused") return null;
    throw error;
  }
}

const decoded = (entries) => Object.fromEntries([...entries].map(([key, raw]) => [key, reader.visible(JSON.parse(raw))]));

// A host of the files of a folder, and of others; it lists the paths that were requested.
function host(site, others = {}) {
  const asked = [];
  const get = async (path, { range } = {}) => {
    asked.push(path);
    const file = join(folder, site, decodeURIComponent(path));
    const body = others[path] ?? (existsSync(file) ? readFileSync(file) : null);
    if (typeof body === "number") return { status: body, body: Buffer.alloc(0) };
    if (body === null) return { status: 404, body: Buffer.alloc(0) };
    return range ? { status: 206, part: range[0], body: body.subarray(...range) } : { status: 200, body };
  };
  return { asked, get, others };
}

// -- keys, URLs, entries, documents

const keys = json("keys.json");
for (const key of keys.valid) await check(`key ${key}`, () => equal(reader.isKey(key), true));
for (const [key] of keys.refused) await check(`no key ${key}`, () => equal(reader.isKey(key), false));
await check("order", () => equal([...keys.order[1]].reverse().sort(reader.compare), keys.order[1]));

for (const { root, data, key, url } of json("urls.json").cases) {
  await check(root + key, () => equal(orNull(() => reader.valueUrl(root, data, key)), url));
}

for (const { entry, metadata, ...facts } of json("entries.json").cases) {
  await check(entry, () => {
    const parsed = reader.parse(entry);
    const found = reader.content(parsed);
    equal(reader.visible(parsed), metadata);
    equal({ ...found, modified: null }, { ...facts, modified: null });
    equal(found.modified && Date.parse(found.modified), facts.modified && Date.parse(facts.modified));
  });
}

for (const { entries, same } of json("entries.json").same.filter(({ large }) => !large)) {
  await check(entries.join(" and "), () => {
    equal(reader.sameJson(...entries.map((text) => reader.visible(reader.parse(text)))), same);
  });
}

const indexes = json("indexes.json");
for (const { text, hex, entries, left_out: leftOut } of indexes.cases) {
  await check(`index ${text ?? hex}`, () => {
    const found = orNull(() => reader.parseIndex(hex ? Buffer.from(hex, "hex") : Buffer.from(text)));
    equal(found && decoded(found.entries), entries ?? null);
    if (found) equal(found.leftOut.sort(), leftOut);
  });
}
const accepts = (text) => orNull(() => reader.parseIndex(Buffer.from(text))) !== null;
for (const [levels, isAccepted] of indexes.nested[1]) {
  const inner = levels > 1 ? "[".repeat(levels - 1) + "]".repeat(levels - 1) : "1";
  await check(`${levels} levels`, () => equal(accepts(`{"a":{"x":${inner}}}`), isAccepted));
}
for (const [levels, isAccepted] of indexes.nested_left_out[1]) {
  const inner = "[".repeat(levels - 1) + "]".repeat(levels - 1);
  await check(`${levels} levels, left out`, () => equal(accepts(`{"../a":{"x":${inner}}}`), isAccepted));
}
for (const [digits, isAccepted] of indexes.digits[1]) {
  await check(`${digits} digits`, () => equal(accepts(`{"a":{"x":${"1".repeat(digits)}}}`), isAccepted));
}

for (const { index, sha256, sum, lines } of json("digests.json").cases) {
  await check(`sum ${sum}`, () => {
    const { entries } = reader.parseIndex(Buffer.from(index));
    const texts = [...entries].map(([key, raw]) => reader.lineOf(key, raw));
    equal(reader.document(entries).toString(), index);
    equal(reader.sha256(Buffer.from(index)), sha256);
    equal(reader.sumText(texts.reduce((total, text) => total + reader.numberOf(text), 0n)), sum);
    if (lines) equal(texts.map((text) => [text, reader.sha256(text)]), lines);
  });
}

// -- heads, change files, roots

const heads = json("heads.json");
for (const one of heads.cases.filter(({ large }) => !large)) {
  await check(`head: ${one.why} ${JSON.stringify(one)}`, () => {
    let text = one.text;
    if (one.append !== undefined) {
      text = (one.before ?? "") + JSON.stringify(heads.base).slice(0, -1) + one.append;
    } else if (text === undefined) {
      const path = one.at ?? one.remove;
      const head = path.length ? structuredClone(heads.base) : one.value;
      const inner = path.slice(0, -1).reduce((value, step) => value[step], head);
      if (one.remove) delete inner[path.at(-1)];
      else if (path.length) inner[path.at(-1)] = one.value;
      text = JSON.stringify(head);
    }
    equal(orNull(() => reader.parseHead(Buffer.from(text))) !== null, one.accepted);
  });
}

for (const [size, isAccepted] of heads.sizes[1]) {
  await check(`a head of ${size} bytes`, () => {
    const body = Buffer.from(JSON.stringify(heads.base).padEnd(size));
    equal(orNull(() => reader.parseHead(body)) !== null, isAccepted);
  });
}

for (const { text, states } of json("changefiles.json").cases) {
  await check(`change file ${text}`, () => {
    const found = orNull(() => reader.parseChanges(Buffer.from(text)));
    equal(found && Object.fromEntries(found), states ?? null);
  });
}

const roots = json("roots.json");
for (const { with: others, accepted, why } of roots.cases) {
  await check(`root: ${why}`, () => {
    const body = Buffer.from(JSON.stringify({ ...roots.base, ...others }));
    equal(orNull(() => reader.parseRoot(body)) !== null, accepted);
  });
}

// -- changes

const changes = json("changes/cases.json");

async function between(old, head, { wanted, announced }) {
  const site = host("changes", { "index.head.json": Buffer.from(old) });
  const store = new reader.Reader(site.get);
  await store.poll();
  site.others["index.head.json"] = Buffer.from(head);
  site.asked.length = 0;
  const found = await store.poll();
  const { href } = JSON.parse(head).index;
  equal(found, announced);
  if (wanted) equal(site.asked, ["index.head.json", ...wanted]);
  else equal(site.asked.at(-1), href);
  equal(reader.document(store.entries).toString(), read(join("changes", href)).toString());
}

for (const { from, to, files, changes: announced } of changes.cases) {
  await check(`changes from ${from} to ${to}`, () => (
    between(changes.heads[from - 1], changes.heads[to - 1], { wanted: files, announced })
  ));
}
for (const { why, head } of changes.wrong) {
  await check(`changes: ${why}`, () => between(changes.heads.at(-2), head, { wanted: null, announced: [] }));
}

for (const { why, head, files, asked, result } of changes.damaged) {
  await check(`damaged: ${why}`, async () => {
    const bodies = Object.entries(files).map(([path, text]) => [path, text === null ? 404 : Buffer.from(text)]);
    const site = host("changes", { "index.head.json": Buffer.from(changes.heads.at(-2)) });
    const store = new reader.Reader(site.get);
    await store.poll();
    const before = store.digest;
    const current = { "index.head.json": Buffer.from(head), "index.json": read(join("changes", JSON.parse(head).index.href)) };
    Object.assign(site.others, current, Object.fromEntries(bodies));
    site.asked.length = 0;
    equal(await store.poll().then(() => "new", () => "failed"), result);
    equal(store.digest, result === "new" ? JSON.parse(head).index.sha256 : before);
    // A reader need not ask a second time.
    equal(site.asked, result === "new" ? asked : asked.slice(0, site.asked.length));
  });
}

// -- which answer is believed

const freshness = json("freshness.json");
const names = new Map(Object.entries(freshness.indexes).map(([name, text]) => [reader.sha256(text), name]));

function headOf([lineage, generation, name]) {
  const text = freshness.indexes[name];
  const sha256 = reader.sha256(text);
  const index = { href: `index/${sha256}.json`, size: text.length, sha256, entries: 1 };
  const id = createHash("sha256").update(lineage).digest("hex").slice(0, 32);
  const head = { format: "staticstore-head/1", lineage: id, generation, published: freshness.published, index };
  return Buffer.from(JSON.stringify(head));
}

for (const { name, polls } of freshness.cases) {
  await check(`believed: ${name}`, async () => {
    let said, asked;
    const store = new reader.Reader(async (path, options) => {
      const digest = /^index\/(.*)\.json$/.exec(path)?.[1];
      if (digest && said.document) return { status: said.document, body: Buffer.from("no") };
      if (digest) return { status: 200, body: Buffer.from(freshness.indexes[names.get(digest)]) };
      asked.push([path === "index.json" ? "index" : "head", options]);
      const answer = said[asked.at(-1)[0]];
      if (answer === "unchanged") return { status: 304 };
      if (typeof answer === "number") return { status: answer, body: Buffer.from("no") };
      const body = Array.isArray(answer) ? headOf(answer) : Buffer.from(freshness.indexes[answer]);
      return { status: 200, body, etag: `"${reader.sha256(body)}"`, lastModified: said.last_modified };
    });
    for (const [answer, expected] of polls) {
      [said, asked] = [answer, []];
      const before = store.digest;
      let result = "same";
      try { await store.poll(); } catch (error) {
        if (error.constructor.name !== "Failed") throw error;
        result = "failed";
      }
      if (store.digest !== before) result = "new";
      else if (result === "same" && store.older) result = "ignored";
      const { asked: wanted = ["head"], no_cache: noCache = false, ...rest } = expected;
      equal({ result, held: names.get(store.digest), older: store.older, stale: store.isStale }, rest);
      equal(asked.map((one) => one[0]), wanted);
      equal(asked[0][1].noCache ?? false, noCache);
      if (noCache) equal(Object.keys(asked[0][1]), ["noCache"]);
    }
  });
}

const statuses = json("statuses.json");
const spanOf = (number) => JSON.parse(changes.heads[number - 1]).changes[0].href;

async function meaning(column, status) {
  const site = host("changes", { "index.json": read("blocks/index.json") });
  const show = (number) => { site.others["index.head.json"] = Buffer.from(changes.heads[number - 1]); };
  const store = new reader.Reader(site.get);
  if (column === "new_head" || column === "index") {
    site.others[column === "index" ? "index.json" : "index.head.json"] = status;
    await store.poll();
  } else if (column === "known_head") {
    show(1);
    await store.poll();
    site.others["index.head.json"] = status;
    for (let poll = 0; poll < 3; poll += 1) await store.poll().catch(() => null);
    if (site.asked.at(-1) !== "index.json") throw new Error("index.json is not read");
  } else {
    for (const number of column === "new_document" ? [2] : [1, 2]) {
      show(number);
      await store.poll();
    }
    show(3);
    site.others[spanOf(3)] = status;
    await store.poll();
  }
}

for (const [status, meanings] of Object.entries(statuses.statuses)) {
  for (const [number, column] of statuses.columns.entries()) {
    await check(`${status} for ${column}`, async () => {
      const found = await meaning(column, Number(status)).then(() => "absent", () => "failed");
      equal(found, meanings[number]);
    });
  }
}

// -- blocks and sites

const blocksHead = reader.parseHead(read("blocks/index.head.json"));
for (const { key, page, block, entry } of json("blocks/cases.json").keys) {
  await check(`block of ${key}`, async () => {
    const { list, pages } = reader.parseRoot(read(join("blocks", blocksHead.blocks.href)));
    const blocks = reader.parseBlocks(read(join("blocks", list.href)));
    equal([reader.holding(pages, key), reader.holding(blocks, key)], [page ?? -1, block ?? -1]);
    const raw = await new reader.Reader(host("blocks").get).find(blocksHead, key);
    equal(raw === undefined ? null : JSON.parse(raw), entry);
  });
}

for (const { pack, offset, size, sha256 } of json("packs.json").cases) {
  await check(`${pack} at ${offset}`, () => equal(reader.sha256(read(pack).subarray(offset, offset + size)), sha256));
}

await check("sites/plain", async () => {
  const expected = json("sites/plain.json");
  const site = host("sites/plain");
  const store = new reader.Reader(site.get);
  await store.poll();
  equal(decoded(store.entries), expected.entries);
  const values = {};
  for (const key of store.entries.keys()) values[key] = (await site.get(reader.quote(`data/${key}`))).body.toString();
  equal(values, expected.values);
});

for (const name of ["full", "generations/1", "generations/2"]) {
  await check(`sites/${name}`, async () => {
    const site = host(`sites/${name}`);
    const store = new reader.Reader(site.get);
    await store.poll();
    for (const [key, raw] of store.entries) {
      const { body } = await site.get(reader.quote(`data/${key}`));
      equal(reader.sha256(body), reader.content(JSON.parse(raw)).sha256);
    }
  });
}

console.log(`${count} vectors, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
