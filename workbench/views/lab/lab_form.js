// The form that starts an experiment: presets first, every setting folded below. Its fields come
// from the server, which takes them from the configuration's schema; what is typed travels as one
// message and stays with the browser's tab, so that a reload loses nothing. Nothing here knows a
// setting by name.

const PAUSE = 350 // ms without typing before the server is asked
const KEPT = "sleep-workbench-experiment" // name in the session's storage

const WIDE = "field wide"

export function render({model, el}) {
  el.style.width = "100%"
  const form = make("form", {class: "lab-form", "aria-label": "New experiment", novalidate: ""})
  el.append(form)
  const {fields, top, id, add, asked, complain, refuse} = fieldsOf("f")
  let timer = 0, restored = false
  const titles = new Map([["arms", "Arms"], ["seeds", "Seeds"], ["steps", "Budget"], ["sweep", "Name"], ["start", "Starting point"]]) // of fields, for the reason next to Start

  const text = (mode) => line({maxlength: "2000", inputmode: mode ?? null})
  const preset = (p) => {
    const radio = make("input", {type: "radio", name: id("preset"), id: id(`preset-${p.name}`), value: p.name})
    const note = make("span", {class: "hint", id: `${radio.id}-note`}, p.shows)
    radio.setAttribute("aria-describedby", note.id)
    radio.addEventListener("change", () => {
      if (p.name) model.send_msg({...message("preset"), preset: p.name})
      else own.open = true
    })
    return make("div", {class: "preset"}, radio, make("label", {for: radio.id}, p.title, make("small", {}, p.time)), note)
  }
  const setting = (s) => {
    titles.set(s.name, s.title)
    const bounds = s.bounds ? `${s.describes} ${s.bounds[0].toUpperCase()}${s.bounds.slice(1)}.` : s.describes
    if (s.kind === "boolean") {
      const box = make("input", {type: "checkbox"})
      const note = add(s.name, box, bounds)
      return make("div", {class: "field tick"}, make("label", {for: box.id}, box, s.title), note)
    }
    const input = s.kind === "choice" ? select(s.choices.map((c) => [c, c])) : text(s.kind === "integer" ? "numeric" : null)
    return asked(s.name, s.title, input, bounds, s.kind === "list" || s.kind === "text" ? WIDE : "field")
  }
  const arm = (a) => {
    const box = make("input", {type: "checkbox", value: a.name})
    const passes = text()
    passes.setAttribute("aria-label", `N of ${a.title}`)
    passes.classList.add("passes")
    const note = add(`arms.${a.name}`, passes, a.describes, {box}, box)
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
    keep()
    timer = setTimeout(() => model.send_msg(message("change")), PAUSE)
  }
  const keep = () => { try { sessionStorage.setItem(KEPT, JSON.stringify(message("restore"))) } catch { /* not allowed here */ } }
  const kept = () => { try { return JSON.parse(sessionStorage.getItem(KEPT)) } catch { return null } }

  let plan, preview, reason, button, own
  const build = () => {
    const spec = model.spec
    if (!spec.tasks) return
    fields.clear()
    const common = spec.settings.filter((s) => s.common), more = spec.settings.filter((s) => !s.common)
    const task = asked("task", "Task", select(spec.tasks.map((t) => [t.name, t.title])), spec.tasks.find((t) => t.name === model.values.task)?.describes ?? "", WIDE)
    const start = asked("start", "Starting point", select(spec.starts.map((s) => [s, s])), "A bundled configuration, which fills all fields below. The arms say N.", WIDE)
    const grid = make("div", {class: "grid"}, ...common.map(setting))
    const sections = [...new Set(more.map((s) => s.name.split(".")[0]))].map((section) => make("fieldset", {},
      make("legend", {}, section[0].toUpperCase() + section.slice(1)),
      make("div", {class: "grid"}, ...more.filter((s) => s.name.startsWith(`${section}.`)).map(setting))))
    const settings = make("details", {class: "more"}, make("summary", {}, `More settings (${more.length})`), ...sections)
    const usual = spec.arms.filter((a) => a.common), others = spec.arms.filter((a) => !a.common)
    const arms = make("fieldset", {class: "arms"}, make("legend", {}, "Arms: what is compared"),
      make("p", {class: "hint", id: "arms-note"}, ""), ...usual.map(arm),
      make("details", {class: "more"}, make("summary", {}, `More arms (${others.length})`), ...others.map(arm)))
    fields.set("arms", {input: arms, note: arms.querySelector("#arms-note"), hint: "Each N makes separate runs."})
    const budget = make("div", {class: "grid"},
      asked("seeds", "Seeds", text(), "As 0, 1, 2 or 0-4; error bars need several."),
      asked("steps", "Budget (steps)", text("numeric"), "Optimiser steps of a run."))
    const name = asked("sweep", "Name", text(), "The names of its runs begin with it.", WIDE)
    for (const a of spec.arms) titles.set(`arms.${a.name}`, `N of ${a.title}`)
    const open = own ? own.open : !model.presets.length
    own = make("details", {class: "more own"}, make("summary", {}, `All settings: task, arms, seeds and ${spec.settings.length} more`),
      make("div", {class: "lab-form"}, task, start, grid, settings, arms, budget, name))
    own.open = open
    plan = make("dl", {class: "plan", "aria-label": "Plan"})
    preview = make("p", {class: "preview", role: "status"})
    reason = make("span", {class: "reason", id: id("reason"), role: "status"})
    button = make("button", {type: "submit", class: "primary", "aria-describedby": reason.id}, "Start")
    const other = {name: "", title: "Something else", time: "", shows: "Choose every setting yourself, below."}
    const presets = make("fieldset", {class: "presets"}, make("legend", {}, "What do you want to find out?"), ...[...model.presets, other].map(preset))
    form.replaceChildren(...(model.presets.length ? [presets] : []), plan, own,
      make("div", {class: "launch"}, preview, top, make("div", {class: "go"}, button, reason)))
    fill()
    const before = restored ? null : kept()
    restored = true
    if (before && spec.tasks.some((t) => t.name === before.task)) model.send_msg(before)
    else keep()
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
    complain(model.problems)
    tell()
  }
  const tell = () => {
    if (!preview) return
    preview.textContent = model.preview
    preview.classList.toggle("busy", model.busy)
    preview.setAttribute("aria-busy", String(model.busy))
    plan.replaceChildren(...model.plan.flatMap(([label, words]) => [make("dt", {}, label), make("dd", {}, words)]))
    for (const radio of form.querySelectorAll(".preset input")) radio.checked = radio.value === model.preset
    const wrong = Object.keys(model.problems).filter((name) => name !== "form")
    const named = wrong.slice(0, 3).map((name) => titles.get(name) ?? name).join(", ")
    reason.textContent = wrong.length ? `First correct: ${named}${wrong.length > 3 ? ` and ${wrong.length - 3} more` : ""}.` : ""
    button.textContent = model.starting ? "Starting ..." : "Start"
    button.setAttribute("aria-disabled", String(model.starting || wrong.length > 0))
  }

  form.addEventListener("input", (event) => {
    if (event.target.id !== id("task") && event.target.id !== id("start") && event.target.type !== "radio") changed()
  })
  form.addEventListener("change", (event) => {
    if (event.target.id === id("task")) model.send_msg(message("task"))
    if (event.target.id === id("start")) model.send_msg(message("from"))
  })
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    clearTimeout(timer)
    if (!model.starting) model.send_msg(message("start"))
  })
  model.on("refused", () => refuse(model.problems))
  model.on("serial", build)
  model.on("problems", () => { complain(model.problems); tell() })
  for (const name of ["preview", "busy", "starting", "plan", "preset"]) model.on(name, tell)
  model.on("remove", () => clearTimeout(timer))
  build()
}
