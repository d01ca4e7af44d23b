// Every plain page: light or dark, and words with a definition.
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

const tip = Object.assign(document.createElement("div"), {className: "tip", id: "tip", role: "tooltip", hidden: true})
document.body.append(tip)
let owner = null
function explain(event) {
  const target = event.target.closest?.("[data-tip]") ?? null
  if (target === owner) return
  owner?.removeAttribute("aria-describedby")
  owner = target
  tip.hidden = !owner
  if (!owner) return
  tip.textContent = owner.dataset.tip
  owner.setAttribute("aria-describedby", "tip")
  const at = owner.getBoundingClientRect()
  const left = Math.max(8, Math.min(at.left, root.clientWidth - tip.offsetWidth - 8))
  const fits = at.bottom + tip.offsetHeight + 12 < innerHeight
  tip.style.left = `${left + scrollX}px`
  tip.style.top = `${(fits ? at.bottom + 6 : at.top - tip.offsetHeight - 6) + scrollY}px`
}
for (const name of ["pointerover", "focusin", "click"]) document.addEventListener(name, explain)
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { owner?.removeAttribute("aria-describedby"); owner = null; tip.hidden = true }
})
