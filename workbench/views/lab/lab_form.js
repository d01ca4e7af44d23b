// The form that starts an experiment. Presets and plan are in the page; the settings, folded below
// them, come from the server, which takes them from the configuration's schema. What is typed stays
// with the browser's tab, so that a reload loses nothing. Nothing here knows a setting by name.

const PAUSE = 350 // ms without typing before the server is asked
const KEPT = "sleep-workbench-experiment" // name in the session's storage
const WIDE = "field wide"

/** Bring the form to life; `started` hears what the server said of new runs. */
function labForm(form, first, started) {
  const state = {problems: {}, ...first}
  const {fields, top, id, add, asked, complain, refuse} = fieldsOf("f")
  let timer = 0, waiting = new AbortController(), starting = false
  const titles = new Map([["arms", "Arms"], ["seeds", "Seeds"], ["steps", "Budget"], ["sweep", "Name"], ["start", "Starting point"]]) // of fields, for the reason next to Start
  const presets = form.querySelector(".presets"), plan = form.querySelector(".plan")

  /** Ask, and show what comes; what was asked before is no longer waited for. */
  async function tell(message) {
    clearTimeout(timer)
    waiting.abort()
    const mine = waiting = new AbortController()
    try {
      take(await ask(message, mine.signal))
    } catch (error) {
      if (mine.signal.aborted) return
      take({problems: {form: error instanceof TypeError ? SILENT : error.message}, busy: false, preview: ""})
    }
  }
  function take(found) {
    Object.assign(state, {count: false, refused: false, started: null, said: ""}, found)
    if (found.values) build()
    show()
    if (found.values) keep()
    if (state.refused) refuse(state.problems)
    if (state.started) started(state)
    if (state.count) tell(message("count"))
  }

  const text = (mode) => line({maxlength: "2000", inputmode: mode ?? null})
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
    waiting.abort()
    keep()
    timer = setTimeout(() => tell(message("change")), PAUSE)
  }
  const keep = () => { try { sessionStorage.setItem(KEPT, JSON.stringify(message("restore"))) } catch { /* not allowed here */ } }
  const kept = () => { try { return JSON.parse(sessionStorage.getItem(KEPT)) } catch { return null } }

  const own = make("details", {class: "more own", open: !presets})
  const preview = make("p", {class: "preview", role: "status"})
  const reason = make("span", {class: "reason", id: id("reason"), role: "status"})
  const button = make("button", {type: "submit", class: "button", "aria-describedby": reason.id}, "Start")
  form.append(own, make("div", {class: "launch"}, preview, top, make("div", {class: "go"}, button, reason)))

  function build() {
    const {spec, values} = state
    fields.clear()
    const common = spec.settings.filter((s) => s.common), more = spec.settings.filter((s) => !s.common)
    const task = asked("task", "Task", select(spec.tasks.map((t) => [t.name, t.title])), spec.tasks.find((t) => t.name === values.task)?.describes ?? "", WIDE)
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
    const held = document.activeElement?.id
    own.replaceChildren(make("summary", {}, `All settings: task, arms, seeds and ${spec.settings.length} more`),
      make("div", {class: "lab-form"}, task, start, grid, settings, arms, budget, name))
    for (const name of ["task", "start", "sweep", "seeds", "steps"]) fields.get(name).input.value = values[name] ?? ""
    for (const [name, {input, box}] of fields) {
      if (box) {
        const chosen = values.arms?.[name.slice(5)]
        box.checked = chosen !== undefined
        input.value = chosen ?? ""
        input.parentElement.hidden = !box.checked
      } else if (name.includes(".")) {
        const value = values.settings?.[name] ?? ""
        if (input.type === "checkbox") input.checked = value === "true"
        else input.value = value
      }
    }
    if (held) document.getElementById(held)?.focus()
  }
  function show() {
    complain(state.problems)
    preview.textContent = state.preview
    preview.classList.toggle("busy", state.busy)
    preview.setAttribute("aria-busy", String(state.busy))
    plan.replaceChildren(...state.plan.flatMap(([label, words]) => [make("dt", {}, label), make("dd", {}, words)]))
    for (const radio of form.querySelectorAll(".preset input")) radio.checked = radio.value === state.preset
    const wrong = Object.keys(state.problems).filter((name) => name !== "form")
    const named = wrong.slice(0, 3).map((name) => titles.get(name) ?? name).join(", ")
    reason.textContent = wrong.length ? `First correct: ${named}${wrong.length > 3 ? ` and ${wrong.length - 3} more` : ""}.` : ""
    button.textContent = starting ? "Starting ..." : "Start"
    button.setAttribute("aria-disabled", String(starting || wrong.length > 0))
  }

  presets?.addEventListener("change", ({target}) => {
    if (target.value) tell({...message("preset"), preset: target.value})
    else own.open = true
  })
  form.addEventListener("input", ({target}) => {
    if (target.id !== id("task") && target.id !== id("start") && target.type !== "radio") changed()
  })
  own.addEventListener("change", ({target}) => {
    if (target.id === id("task")) tell(message("task"))
    if (target.id === id("start")) tell(message("from"))
  })
  form.addEventListener("submit", async (event) => {
    event.preventDefault()
    if (starting) return
    starting = true
    Object.assign(state, {preview: "Counting what the runs cost ...", busy: true})
    show()
    await tell(message("start"))
    starting = false
    show()
  })
  build()
  const before = kept()
  if (before && state.spec.tasks.some((t) => t.name === before.task)) tell(before)
  else take({count: state.count})
}
