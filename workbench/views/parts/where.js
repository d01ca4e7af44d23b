// Where we are, and that something is being worked out. The live regions are made once and only
// their text changes: a region that is replaced is not announced.

export function render({model, el}) {
  el.style.width = "100%"
  el.innerHTML = `<div class="stop" aria-live="polite" aria-atomic="true">
    <b></b><span></span><span class="unseen"></span></div>
    <div class="busy" role="status"></div>`
  const [title, sentence, told] = el.querySelectorAll(".stop > *")
  const busy = el.querySelector(".busy")
  const write = (node, text) => { if (node.textContent !== text) node.textContent = text }
  const refresh = () => {
    write(title, model.title)
    write(sentence, model.sentence)
    write(told, model.told)
    write(busy, model.busy)
  }
  for (const name of ["title", "sentence", "told", "busy"]) model.on(name, refresh)
  refresh()
}
