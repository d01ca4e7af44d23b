// A button that saves a text made by the server, without a separate address.

export function render({model, el}) {
  const button = document.createElement("button")
  button.type = "button"
  button.className = "download"
  const name = () => { button.textContent = model.label }
  button.addEventListener("click", () => model.send_msg({}))
  model.on("label", name)
  model.on("serial", () => {
    const link = document.createElement("a")
    link.href = URL.createObjectURL(new Blob([model.content], {type: "text/csv"}))
    link.download = model.filename
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 1000)
  })
  name()
  el.append(button)
}
