// ---- pictures, sound and text ----

async function imageOf(bytes, {entry, isWhole, signal}) {
  if (!isWhole) return [note("It is too large for a preview.")];
  const types = {svg: "image/svg+xml"};
  const type = entry.metadata.media_type ?? types[entry.key.split(".").at(-1).toLowerCase()] ?? "";
  const url = URL.createObjectURL(new Blob([bytes], {type}));
  signal.addEventListener("abort", () => URL.revokeObjectURL(url));
  const image = element("img", {src: url, alt: textOf(entry.metadata.title) || entry.key});
  await image.decode().catch(() => { throw new Error("this browser cannot show it"); });
  return [image, note(`${image.naturalWidth} × ${image.naturalHeight} pixels`)];
}

function readText(bytes, isWhole) {  // a last character that is cut in two is no fault
  try {
    return new TextDecoder("utf-8", {fatal: true}).decode(bytes, {stream: !isWhole});
  } catch {
    throw new Error("it is no text in UTF-8");
  }
}

function plainText(bytes, {isWhole}) {
  const text = readText(bytes, isWhole);
  if (!text) return [note("It is empty.")];
  if (text.includes("\0")) throw new Error("it is no text");
  const shown = element("pre", {textContent: text, tabIndex: 0});
  return isWhole ? [shown] : [shown, note(`The first ${sizeText(bytes.byteLength)}.`)];
}

function indented(text) {       // JSON with its numbers as they are written; short lists stay on a line
  JSON.parse(text);
  let depth = 0;
  const line = () => "\n" + "  ".repeat(Math.min(depth, 30));
  const tokens = /"(?:[^"\\]+|\\.)*"|\[[^[\]{}"]{0,80}\]|\{\s*\}|[[\]{},:]|\s+/g;
  return text.replace(tokens, token => {
    if (token === "{" || token === "[") { depth++; return token + line(); }
    if (token === "}" || token === "]") { depth--; return line() + token; }
    if (token === ",") return token + line();
    if (token === ":") return ": ";
    return token.startsWith('"') ? token : token.replace(/\s+/g, "").replaceAll(",", ", ");
  });
}

function jsonText(bytes, {isWhole}) {
  const shown = plainText(bytes, {isWhole});
  try {
    if (isWhole) shown[0].textContent = indented(readText(bytes, true));
  } catch {                     // it is none: shown as it is
  }
  return shown;
}

async function mediaOf(bytes, {entry, isWhole, signal}) {
  if (!isWhole) return [note("It is too large for a preview.")];
  const type = entry.metadata.media_type;
  const url = URL.createObjectURL(new Blob([bytes], {type}));
  signal.addEventListener("abort", () => URL.revokeObjectURL(url));
  const player = element(/^audio/i.test(type) ? "audio" : "video", {controls: true, ariaLabel: textOf(entry.metadata.title) || entry.key});
  await new Promise((resolve, reject) => {
    player.addEventListener("loadedmetadata", resolve);
    player.addEventListener("error", () => reject(new Error("this browser cannot play it")));
    player.src = url;
  });
  return [player];
}
