// ---- lines that get a value, to be copied ----

function shellQuoted(text) {    // for POSIX shells, as shlex.quote
  return /^[\w@%+:,.\/-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
}

function linesFor({key}) {
  const root = ROOT.href, data = document.body.dataset.path, url = urlOf(key);
  const isUsual = data === "data/";
  const file = shellQuoted(key.split("/").at(-1).replace(/^-/, "./-"));
  const dash = key.startsWith("-") ? "-- " : "";
  const globs = /[[\]{}]/.test(url) ? "-g " : "";
  // A text of JSON is a text of Python.
  const python = isUsual ? "" : `, data_path=${JSON.stringify(data)}`;
  const option = isUsual ? "" : `--data ${shellQuoted(data)} `;
  return {
    URL: url,
    Python: `from staticstore import StaticStore; store = StaticStore(${JSON.stringify(root)}${python}).connect(); data = store.get_data(${JSON.stringify(key)}).read()`,
    curl: `curl -f -L ${globs}-o ${file} ${shellQuoted(url)}`,
    "staticstore get": `staticstore get ${option}-o ${file} ${dash}${shellQuoted(root)} ${shellQuoted(key)}`,
  };
}

function copyButtons(entry) {
  const said = element("p", {className: "note", role: "status"});
  const field = element("input", {readOnly: true, hidden: true, ariaLabel: "Text to copy"});
  const buttons = Object.entries(linesFor(entry)).map(([name, text]) => {
    const button = element("button", {type: "button", textContent: name, title: text});
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
        field.hidden = true;
        said.textContent = `Copied: ${text}`;
      } catch {                 // on plain http there is no clipboard
        Object.assign(field, {value: text, hidden: false});
        field.select();
        said.textContent = "Press Ctrl+C, or ⌘C, to copy this.";
      }
    });
    return button;
  });
  const group = element("div", {className: "choice", role: "group", ariaLabel: "Copy"}, ...buttons);
  return element("div", {className: "copy"}, element("span", {textContent: "Copy"}), group, field, said);
}
