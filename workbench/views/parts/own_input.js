// The user's own input as one form: what is typed travels with the click, so that a click can
// never overtake the typing. Errors are shown at their field.

export function render({model, el}) {
  el.style.width = "100%"
  el.innerHTML = `<form class="own" aria-label="Your own input">
    <label>Your own input
      <textarea name="text" rows="2" maxlength="20000" spellcheck="false" autocomplete="off"
        aria-describedby="text-note"></textarea></label>
    <p id="text-note" class="hint"></p>
    <div class="queries"><label>Queries (<span></span>)
      <input name="queries" maxlength="20000" spellcheck="false" autocomplete="off"
        aria-describedby="queries-note"></label>
    <p id="queries-note" class="hint"></p></div>
    <div class="buttons"><button type="submit">Use this input</button>
      <button type="button" class="quiet">Draw again</button></div>
  </form>`
  const form = el.querySelector("form")
  const again = el.querySelector("button.quiet")

  const fill = () => {
    form.text.value = model.text
    form.queries.value = model.queries
  }
  const refresh = () => {
    el.querySelector(".queries").hidden = !model.query_form
    el.querySelector(".queries span").textContent = model.query_form
    again.hidden = !model.typed
    for (const name of ["text", "queries"]) {
      const wrong = model.wrong_field === name
      const note = el.querySelector(`#${name}-note`)
      form[name].setAttribute("aria-invalid", String(wrong))
      note.textContent = wrong ? model.message : name === "text" ? model.hint : ""
      note.classList.toggle("wrong", wrong)
      if (wrong) note.setAttribute("role", "alert")
      else note.removeAttribute("role")
    }
  }
  const send = () => model.send_msg({
    text: form.text.value, queries: model.query_form ? form.queries.value : "",
  })
  form.addEventListener("submit", (event) => { event.preventDefault(); send() })
  form.text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); send() }
  })
  again.addEventListener("click", () => model.send_msg({text: "", queries: "", draw: true}))
  model.on("serial", fill)
  for (const name of ["query_form", "typed", "wrong_field", "message", "hint"]) model.on(name, refresh)
  fill()
  refresh()
}
