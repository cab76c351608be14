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
