// Sets the chosen colours before anything is painted; "auto" leaves them to the system.
(() => {
  let chosen = "auto";
  try { chosen = localStorage.getItem("theme") ?? "auto"; } catch { /* storage may be forbidden: then as the system */ }
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
})();
