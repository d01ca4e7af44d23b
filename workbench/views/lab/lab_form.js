// The form that starts an experiment. Its fields come from the server, which takes them from the
// configuration's schema; what is typed travels as one message, and what is wrong comes back by
// field. Nothing here knows a setting by name.

const PAUSE = 350 // ms without typing before the server is asked

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(name, value)
  }
  node.append(...children)
  return node
}

export function render({model, el}) {
  el.style.width = "100%"
  const form = make("form", {class: "lab-form", "aria-label": "New experiment", novalidate: ""})
  el.append(form)
  const fields = new Map() // name -> {input, note, hint}
  let timer = 0

  const named = (name) => `f-${name.replaceAll(".", "-")}`

  const asked = (name, title, input, hint, wide = false) => {
    input.id = named(name)
    input.setAttribute("aria-describedby", `${input.id}-note`)
    const note = make("p", {id: `${input.id}-note`, class: "hint"}, hint)
    fields.set(name, {input, note, hint})
    return make("div", {class: wide ? "field wide" : "field"}, make("label", {for: input.id}, title), input, note)
  }
  const text = (mode) => make("input", {type: "text", autocomplete: "off", spellcheck: "false", maxlength: "2000", inputmode: mode ?? null})
  const select = (options) => {
    const found = make("select")
    found.append(...options.map(([value, label]) => new Option(label, value)))
    return found
  }
  const setting = (s) => {
    const bounds = s.bounds ? `${s.describes} ${s.bounds[0].toUpperCase()}${s.bounds.slice(1)}.` : s.describes
    if (s.kind === "boolean") {
      const box = make("input", {type: "checkbox"})
      box.id = named(s.name)
      box.setAttribute("aria-describedby", `${box.id}-note`)
      const note = make("p", {id: `${box.id}-note`, class: "hint"}, bounds)
      fields.set(s.name, {input: box, note, hint: bounds})
      return make("div", {class: "field tick"}, make("label", {for: box.id}, box, s.title), note)
    }
    const input = s.kind === "choice" ? select(s.choices.map((c) => [c, c])) : text(s.kind === "integer" ? "numeric" : null)
    return asked(s.name, s.title, input, bounds, s.kind === "list" || s.kind === "text")
  }
  const arm = (a) => {
    const box = make("input", {type: "checkbox", value: a.name})
    box.id = named(`arms.${a.name}`)
    const passes = text()
    passes.setAttribute("aria-label", `N of ${a.title}`)
    passes.setAttribute("aria-describedby", `${box.id}-note`)
    passes.classList.add("passes")
    box.setAttribute("aria-describedby", `${box.id}-note`)
    const note = make("p", {id: `${box.id}-note`, class: "hint"}, a.describes)
    fields.set(`arms.${a.name}`, {input: passes, note, hint: a.describes, box})
    const n = make("span", {class: "n"}, "N = ", passes)
    box.addEventListener("change", () => {
      n.hidden = !box.checked
      if (box.checked && !passes.value) passes.value = "1, 2, 4"
    })
    return make("div", {class: "arm"}, make("label", {for: box.id}, box, a.title), n, note)
  }

  const message = (kind) => {
    const settings = {}, arms = {}
    for (const [name, {input, box}] of fields) {
      if (box) { if (box.checked) arms[name.slice(5)] = input.value }
      else if (name.includes(".")) settings[name] = input.type === "checkbox" ? String(input.checked) : input.value
    }
    const value = (name) => fields.get(name).input.value
    return {kind, task: value("task"), start: value("start"), sweep: value("sweep"), seeds: value("seeds"), steps: value("steps"), settings, arms}
  }
  const changed = () => {
    clearTimeout(timer)
    timer = setTimeout(() => model.send_msg(message("change")), PAUSE)
  }

  let preview, button, top
  const build = () => {
    const spec = model.spec
    if (!spec.tasks) return
    fields.clear()
    const common = spec.settings.filter((s) => s.common), more = spec.settings.filter((s) => !s.common)
    const task = asked("task", "Task", select(spec.tasks.map((t) => [t.name, t.title])), spec.tasks.find((t) => t.name === model.values.task)?.describes ?? "", true)
    const start = asked("start", "Starting point", select(spec.starts.map((s) => [s, s])), "A bundled configuration, which fills all fields below. The arms say N.", true)
    const grid = make("div", {class: "grid"}, ...common.map(setting))
    const sections = [...new Set(more.map((s) => s.name.split(".")[0]))].map((section) => make("fieldset", {},
      make("legend", {}, section[0].toUpperCase() + section.slice(1)),
      make("div", {class: "grid"}, ...more.filter((s) => s.name.startsWith(`${section}.`)).map(setting))))
    const settings = make("details", {class: "more"}, make("summary", {}, `More settings (${more.length})`), ...sections)
    const usual = spec.arms.filter((a) => a.common), others = spec.arms.filter((a) => !a.common)
    const arms = make("fieldset", {class: "arms"}, make("legend", {}, "Arms: what is compared"),
      make("p", {class: "hint", id: "arms-note"}, ""), ...usual.map(arm),
      make("details", {class: "more"}, make("summary", {}, `More arms (${others.length})`), ...others.map(arm)))
    fields.set("arms", {input: arms, note: arms.querySelector("#arms-note"), hint: "Each N makes runs of its own."})
    const budget = make("div", {class: "grid"},
      asked("seeds", "Seeds", text(), "As 0, 1, 2 or 0-4; error bars need several."),
      asked("steps", "Budget (steps)", text("numeric"), "Optimiser steps of a run."))
    const name = asked("sweep", "Name", text(), "The names of its runs begin with it.", true)
    preview = make("p", {class: "preview", role: "status"})
    top = make("p", {class: "hint wrong", role: "alert", hidden: ""})
    button = make("button", {type: "submit", class: "primary"}, "Start")
    form.replaceChildren(task, start, grid, settings, arms, budget, name,
      make("div", {class: "launch"}, preview, top, button))
    fill()
  }
  const fill = () => {
    const v = model.values
    for (const name of ["task", "start", "sweep", "seeds", "steps"]) fields.get(name).input.value = v[name] ?? ""
    for (const [name, {input, box}] of fields) {
      if (box) {
        const chosen = v.arms?.[name.slice(5)]
        box.checked = chosen !== undefined
        input.value = chosen ?? ""
        input.parentElement.hidden = !box.checked
      } else if (name.includes(".")) {
        const value = v.settings?.[name] ?? ""
        if (input.type === "checkbox") input.checked = value === "true"
        else input.value = value
      }
    }
    complain()
    tell()
  }
  const complain = () => {
    for (const [name, {input, note, hint}] of fields) {
      const wrong = model.problems[name]
      if (name !== "arms") input.setAttribute("aria-invalid", String(Boolean(wrong)))
      if (note.textContent !== (wrong ?? hint)) note.textContent = wrong ?? hint
      note.classList.toggle("wrong", Boolean(wrong))
      if (wrong) {
        note.setAttribute("role", "alert")
        for (let box = note.closest("details"); box; box = box.parentElement.closest("details")) box.open = true
      } else note.removeAttribute("role")
    }
    top.textContent = model.problems.form ?? ""
    top.hidden = !model.problems.form
  }
  const tell = () => {
    if (!preview) return
    preview.textContent = model.preview
    preview.classList.toggle("busy", model.busy)
    preview.setAttribute("aria-busy", String(model.busy))
    button.textContent = model.starting ? "Starting ..." : "Start"
    button.setAttribute("aria-disabled", String(model.starting))
  }

  form.addEventListener("input", (event) => {
    if (event.target.id !== named("task") && event.target.id !== named("start")) changed()
  })
  form.addEventListener("change", (event) => {
    if (event.target.id === named("task")) model.send_msg(message("task"))
    if (event.target.id === named("start")) model.send_msg(message("from"))
  })
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    clearTimeout(timer)
    if (!model.starting) model.send_msg(message("start"))
  })
  // after a start that was refused, the first field in trouble has the focus
  model.on("refused", () => {
    for (const [name, {input}] of fields) {
      if (model.problems[name] && name !== "arms") {
        input.focus()
        input.closest(".field, .arm").scrollIntoView({block: "center"}) // its reason too, clear of the sticky box
        break
      }
    }
  })
  model.on("serial", build)
  model.on("problems", complain)
  for (const name of ["preview", "busy", "starting"]) model.on(name, tell)
  model.on("remove", () => clearTimeout(timer))
  build()
}
