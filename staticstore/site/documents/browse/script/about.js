// ---- the site's own words ----

async function followAbout(head) {
  const sha256 = head?.about?.sha256 ?? null;
  if (!head || sha256 === state.about) return;
  try {
    showAbout(await readAbout(isObject(head.about) ? head.about : {}), await readSignature());
    state.about = sha256;
  } catch {                     // the network failed: the index says so, and the next poll asks again
  }
}

async function readAbout({size, sha256}) {  // an empty object if it is not there as named
  if (!(isSize(size) && size <= MOST_ABOUT_BYTES && typeof sha256 === "string" && /^[0-9a-f]{64}$/.test(sha256))) return {};
  const response = await request(`about/${sha256}.json`, 30);
  if (!response.ok) return {};
  const body = await response.arrayBuffer();
  const digest = await digestOf(body);
  if (body.byteLength !== size || (digest && digest !== sha256)) return {};
  try {
    const about = JSON.parse(new TextDecoder("utf-8", {fatal: true}).decode(body));
    return isObject(about) ? about : {};
  } catch {
    return {};
  }
}

async function readSignature() {  // not verified: a page cannot prove its own host wrong
  const signers = document.body.dataset.signers;
  if (!signers) return "";
  const response = await request("trust/timestamp.json", 30);
  if (!response.ok) return `Signed by the key ${signers}, but the signature is gone`;
  try {
    const until = new Date(JSON.parse(await response.text()).signed.expires);
    if (isNaN(until)) return "";
    const day = until.toISOString().slice(0, 10);
    return until < new Date() ? `Signature expired on ${day}` : `Signed by the key ${signers}, until ${day}`;
  } catch {
    return "";
  }
}

function showAbout(about, signature) {
  const shown = field => typeof about[field] === "string" ? about[field].slice(0, MOST_ABOUT_TEXT) : "";
  const labels = {license: "License", version: "Version", contact: "Contact"};
  const facts = Object.keys(labels).filter(shown).map(field => element("span", {textContent: `${labels[field]}: ${shown(field)}`}));
  if (signature) facts.push(element("span", {textContent: signature, title: "staticstore info URL --trust FILE verifies it"}));
  const files = Object.keys(isObject(about.files) ? about.files : {}).filter(name => ABOUT_FILE.test(name));
  const links = files.map(name => linkTo(new URL(name, ROOT), name));
  const homepage = webUrl(about.homepage);
  if (homepage) links.unshift(linkTo(homepage, homepage.href));
  page.name.textContent = shown("title") || siteName();
  nameTab();
  page.about.replaceChildren(element("p", {textContent: shown("description")}), ...facts, ...links);
  page.about.hidden = !(shown("description") || facts.length || links.length);
}

function webUrl(text) {         // null if it is no address of the web
  if (typeof text !== "string" || !/^https?:\/\//i.test(text) || !URL.canParse(text)) return null;
  const url = new URL(text);
  return url.username || url.password ? null : url;
}

function linkTo(url, text) {
  return element("a", {href: url.href, textContent: text, rel: "noopener noreferrer", target: "_blank"});
}
