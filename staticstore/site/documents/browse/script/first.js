// ---- the list of links that follows this script, for browsers that do not run it ----

document.documentElement.classList.add("live");  // hides the list before it is parsed
document.querySelector("#app").hidden = false;

function endFirstScreen() {     // until then it is shown if the index cannot be read
  document.documentElement.classList.add("loaded");
  document.querySelector("#first")?.remove();
}
