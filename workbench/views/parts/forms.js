// Elements, and fields with notes that hold a hint or what is wrong. This text stands in front of
// the script of each form or table that uses it.

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value)
  }
  node.append(...children)
  return node
}

function select(options) {
  const found = make("select")
  found.append(...options.map(([value, label]) => new Option(label, value)))
  return found
}

function line(attributes) {
  return make("input", {type: "text", autocomplete: "off", spellcheck: "false", ...attributes})
}

// Fields by name, each {input, note, hint}; `problems` come from the server by the same names.
function fieldsOf(prefix) {
  const fields = new Map()
  const top = make("p", {class: "hint wrong", role: "alert", hidden: ""})
  const id = (name) => `${prefix}-${name.replaceAll(".", "-")}`
  // an input may be described by the note of another element, such as its tick box
  const add = (name, input, hint, more = {}, described = input) => {
    described.id = id(name)
    const note = make("p", {id: `${id(name)}-note`, class: "hint"}, hint)
    for (const node of new Set([input, described])) node.setAttribute("aria-describedby", note.id)
    fields.set(name, {input, note, hint, ...more})
    return note
  }
  const asked = (name, title, input, hint, look = "field") => {
    const note = add(name, input, hint)
    return make("div", {class: look}, make("label", {for: input.id}, title), input, note)
  }
  const complain = (problems) => {
    for (const [name, {input, note, hint}] of fields) {
      const wrong = problems[name]
      if (input.tagName !== "FIELDSET") input.setAttribute("aria-invalid", String(Boolean(wrong)))
      if (note.textContent !== (wrong ?? hint)) note.textContent = wrong ?? hint
      note.classList.toggle("wrong", Boolean(wrong))
      if (wrong) {
        note.setAttribute("role", "alert")
        for (let box = note.closest("details"); box; box = box.parentElement.closest("details")) box.open = true
      } else note.removeAttribute("role")
    }
    top.textContent = problems.form ?? ""
    top.hidden = !problems.form
  }
  // after a refusal the first field in trouble has the focus, and its reason is in view
  const refuse = (problems) => {
    for (const [name, {input}] of fields) {
      if (problems[name] && input.tagName !== "FIELDSET") {
        input.focus()
        input.closest(".field, .arm").scrollIntoView({block: "center"})
        break
      }
    }
  }
  return {fields, top, id, add, asked, complain, refuse}
}

