// ---- keys ----

function isKey(key) {           // as the reader has it: such a URL would name something else
  return !(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]|\p{Surrogate}/u.test(key)
    || /(^|\/)\.{0,2}(\/|$)/.test(key) || key.startsWith("\\"));
}

function quoted(key) {          // as urllib.parse.quote(key, safe="/")
  const escaped = character => "%" + character.charCodeAt(0).toString(16).toUpperCase();
  return key.split("/").map(segment => encodeURIComponent(segment).replace(/[!'()*]/g, escaped)).join("/");
}

function urlOf(key) { return new URL(quoted(document.body.dataset.path + key), ROOT).href; }
