// A native select. Panel Material UI's own opens by mouse only: it takes no key.

export function render({model, el}) {
  el.style.width = "100%"
  el.innerHTML = `<label class="choice"><span></span><select></select></label>`
  const label = el.querySelector("span")
  const select = el.querySelector("select")
  const fill = () => {
    label.textContent = model.label
    select.replaceChildren(...model.labels.map((text) => new Option(text)))
    show()
  }
  const show = () => { select.selectedIndex = model.index }
  select.addEventListener("change", () => model.send_msg({index: select.selectedIndex}))
  model.on("labels", fill)
  model.on("label", fill)
  model.on("index", show)
  fill()
}
