// Every page: light or dark.
const root = document.documentElement
const system = matchMedia("(prefers-color-scheme: dark)")
let chosen = root.dataset.theme !== "auto"

function show(dark) {
  root.dataset.theme = dark ? "dark" : "light"
  window.dispatchEvent(new CustomEvent("themechange", {detail: {dark}}))
}
if (!chosen) root.dataset.theme = system.matches ? "dark" : "light"
system.addEventListener("change", () => { if (!chosen) show(system.matches) })
document.querySelector(".theme").addEventListener("click", () => {
  chosen = true
  const dark = root.dataset.theme !== "dark"
  document.cookie = `workbench_theme=${dark ? "dark" : "light"}; path=/; max-age=31536000; SameSite=Lax`
  show(dark)
})
