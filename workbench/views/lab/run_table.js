// The table of runs: filters, rows that are changed in place, what may be done with those that are
// ticked, and the trash. The server says what is in a row; ages run on here.

const ACTIONS = {
  stop: {label: "Stop", doing: "Stopping", states: ["queued", "starting", "running"]},
  resume: {label: "Resume", doing: "Resuming", states: ["stopped", "stopping", "failed", "died"]},
  kill: {
    label: "Kill", doing: "Killing", states: ["starting", "running", "stopping"], ask: "Kill",
    warn: "What they did since their newest resume point is lost; they can be resumed from there.",
  },
  delete: {
    label: "Delete", doing: "Deleting", states: ["queued", "stopped", "finished", "failed", "died", "damaged"], ask: "Delete",
    warn: "Their folders go to the trash, from which they can be restored.",
  },
}
const SILENT = "The server does not answer. Check that it is running: this page goes on when it does."
const AGE_EVERY = 5000

function age(seconds) {
  if (seconds < 2) return "now"
  if (seconds < 90) return `${Math.round(seconds)} s`
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86400)} days`
}

/** Make the table; `wish` holds filters and selection, `changed` hears when they change, and `act`
 * does something with runs. Returns what shows the server's answers. */
function runTable(el, wish, {changed, act}) {
  let model = null
  const text = make("input", {type: "search", "aria-label": "Filter by text", placeholder: "Filter by text", maxlength: "100", spellcheck: "false"})
  const state = make("select", {"aria-label": "State"})
  const sweep = make("select", {"aria-label": "Experiment"})
  const counts = make("p", {class: "counts", role: "status"})
  const all = make("input", {type: "checkbox", "aria-label": "Select all runs shown"})
  const heads = ["Run", "State", "Progress", "Loss", "Accuracy, %, or bits", "Age"]
  const body = make("tbody")
  const table = make("table", {class: "runs", "aria-label": "Runs"},
    make("thead", {}, make("tr", {}, make("th", {scope: "col"}, all), ...heads.map((h) => make("th", {scope: "col"}, h)))), body)
  const box = make("div", {class: "runs-box", tabindex: "0", role: "region", "aria-label": "Runs, scrollable"}, table)
  const none = make("p", {class: "note", hidden: ""}, "No run fits the filter.")
  const buttons = make("div", {class: "run-actions", role: "toolbar", "aria-label": "For the selected runs"})
  const chosen = make("span", {class: "chosen"})
  const said = make("p", {class: "said", role: "status"})
  const waiting = make("p", {class: "note beyond", hidden: ""}, "Runs wait, but no queue is working on this folder. ")
  const queue = make("button", {type: "button"}, "Start the queue")
  waiting.append(queue)
  const trash = make("details", {class: "more trash", hidden: ""})
  const dialog = make("dialog", {"aria-labelledby": "ask-title", class: "ask"})
  const search = make("div", {class: "filters"}, text, state, sweep, counts)
  const below = make("div", {class: "below"}, chosen, buttons)
  el.append(search, waiting, box, none, below, said, trash, dialog)

  const rows = new Map() // name -> {node, parts, key}
  const selected = new Set(wish.names)
  let offset = 0

  const say = (words) => { if (said.textContent !== words) said.textContent = words }
  const send = async (action, names, text = "") => {
    say(`${ACTIONS[action]?.doing ?? "Working on"} ${many(names)} ...`)
    say(await act(action, names, text))
  }
  const many = (names) => names.length === 1 ? "1 run" : `${names.length} runs`
  const selection = () => [...selected].filter((name) => name in model.states) // those that are there
  const choose = () => {
    wish.names = [...selected]
    changed()
  }

  const confirm = (title, names, content, answer, act, look = "danger") => {
    const yes = make("button", {type: "button", class: look}, answer)
    const no = make("button", {type: "button"}, "Cancel")
    const list = make("ul", {}, ...names.slice(0, 8).map((n) => make("li", {}, n)))
    if (names.length > 8) list.append(make("li", {}, `and ${names.length - 8} more`))
    const given = typeof content === "string" ? make("p", {}, content) : content
    dialog.replaceChildren(make("h3", {id: "ask-title"}, title), list, given, make("div", {class: "run-actions"}, yes, no))
    yes.addEventListener("click", () => { dialog.close(); act() })
    no.addEventListener("click", () => dialog.close())
    dialog.showModal()
    if (given === content) given.focus()
    else no.focus()
  }
  const note = () => {
    const names = selection()
    const now = new Set(names.map((name) => rows.get(name)?.row.note ?? ""))
    const text = make("textarea", {"aria-label": "Note", maxlength: "1000", rows: "4", placeholder: "What you want to remember"})
    text.value = now.size === 1 ? [...now][0] : ""
    confirm(`Note on ${many(names)}`, names, text, "Save", () => send("note", names, text.value), null)
  }
  for (const [action, {label, ask}] of Object.entries(ACTIONS)) {
    const button = make("button", {type: "button", "data-action": action, class: ask ? "danger" : null}, ask ? `${label} ...` : label)
    button.addEventListener("click", () => {
      if (button.getAttribute("aria-disabled") === "true") return
      const names = fitting(action), others = selection().length - names.length
      const what = `${ask} ${many(names)}`
      const left = others ? ` The other ${others} selected stay as they are.` : ""
      if (ask) confirm(`${what}?`, names, ACTIONS[action].warn + left, what, () => send(action, names))
      else send(action, selection()) // those it does not fit are named in the answer
    })
    buttons.append(button)
  }
  const remember = make("button", {type: "button"}, "Note ...")
  remember.addEventListener("click", () => { if (selection().length) note() })
  buttons.append(remember)
  const clear = make("button", {type: "button", class: "quiet"}, "Clear selection")
  clear.addEventListener("click", () => { selected.clear(); mark(); choose() })
  buttons.append(clear)

  const fitting = (action) => selection().filter((name) => ACTIONS[action].states.includes(model.states[name]))

  const build = (row) => {
    const tick = make("input", {type: "checkbox", "aria-label": `Select ${row.name}`})
    tick.addEventListener("change", () => {
      if (tick.checked) selected.add(row.name)
      else selected.delete(row.name)
      mark()
      choose()
    })
    const parts = {
      tick, name: make("span", {class: "name", title: row.name}, row.name), sub: make("span", {class: "sub"}),
      note: make("span", {class: "sub note-text"}), state: make("span", {class: "state"}), problem: make("span", {class: "problem"}),
      watch: make("a", {class: "watch", hidden: ""}, "Watch it sleep"),
      bar: make("i"), steps: make("span"), loss: make("td", {class: "number"}), accuracy: make("td", {class: "levels"}), age: make("td", {class: "number age"}),
    }
    const bar = make("span", {class: "bar", "aria-hidden": "true"}, parts.bar)
    const node = make("tr", {},
      make("td", {}, tick), make("th", {scope: "row"}, parts.name, parts.sub, parts.note),
      make("td", {}, parts.state, parts.problem, parts.watch), make("td", {class: "progress"}, bar, parts.steps),
      parts.loss, parts.accuracy, parts.age)
    node.addEventListener("click", (event) => { // the whole row ticks, but for text being selected
      if (event.target !== tick && event.target !== parts.watch && !window.getSelection()?.toString()) tick.click()
    })
    return {node, parts, row: null, key: ""}
  }
  const update = (entry, row) => {
    const key = JSON.stringify(row)
    entry.row = row
    if (key === entry.key) return
    entry.key = key
    const {parts} = entry
    parts.sub.textContent = row.sub
    parts.state.textContent = row.word
    parts.state.className = `state s-${row.state}`
    parts.note.textContent = row.note
    parts.watch.hidden = !row.watch
    parts.watch.href = `${data.explore}${row.watch}`
    parts.watch.setAttribute("aria-label", `Watch ${row.name} sleep`)
    parts.problem.textContent = row.problem
    parts.problem.title = row.problem
    parts.bar.style.width = `${100 * row.share}%`
    parts.steps.textContent = row.progress
    parts.loss.textContent = row.loss
    parts.accuracy.title = row.tested
    parts.accuracy.replaceChildren(...row.levels.map(([level, words, share, shown]) => {
      const cell = make("span", {title: `${words}${row.tested ? `, ${row.tested}` : ""}`, style: `--share:${share}`})
      cell.append(make("small", {}, level), make("span", {class: "unseen"}, ` (${words}): `), shown)
      return cell
    }))
  }
  const ages = () => {
    const now = Date.now() / 1000 + offset
    for (const {parts, row} of rows.values()) {
      if (row) parts.age.textContent = age(Math.max(0, now - row.changed))
    }
  }
  const draw = () => {
    offset = model.now - Date.now() / 1000
    const shown = new Set(model.rows.map((row) => row.name))
    for (const [name, {node}] of rows) {
      if (!shown.has(name)) { node.remove(); rows.delete(name) }
    }
    let before = null
    for (const row of model.rows) {
      let entry = rows.get(row.name)
      if (!entry) { entry = build(row); rows.set(row.name, entry) }
      update(entry, row)
      const place = before ? before.nextSibling : body.firstChild
      if (place !== entry.node) body.insertBefore(entry.node, place)
      before = entry.node
    }
    none.hidden = model.rows.length > 0 || model.total === 0
    box.hidden = model.rows.length === 0
    for (const part of [search, below]) part.hidden = model.total === 0
    mark()
    ages()
  }
  const mark = () => {
    for (const [name, {node, parts}] of rows) {
      parts.tick.checked = selected.has(name)
      node.classList.toggle("selected", selected.has(name))
    }
    const shown = [...rows.keys()], ticked = shown.filter((name) => selected.has(name)).length
    all.checked = shown.length > 0 && ticked === shown.length
    all.indeterminate = ticked > 0 && ticked < shown.length
    const there = selection(), hidden = there.filter((name) => !rows.has(name)).length, count = ticked + hidden
    chosen.textContent = count ? `${count} selected${hidden ? ` (${hidden} not shown)` : ""}` : "None selected"
    for (const button of buttons.querySelectorAll("[data-action]")) {
      button.setAttribute("aria-disabled", String(fitting(button.dataset.action).length === 0))
    }
    for (const button of [remember, clear]) button.setAttribute("aria-disabled", String(!count))
  }
  const options = (node, first, found, value) => {
    const wanted = JSON.stringify([first, found])
    if (node.dataset.options !== wanted) {
      node.replaceChildren(new Option(first, ""), ...found.map((f) => new Option(f, f)))
      node.dataset.options = wanted
    }
    node.value = value
  }
  const filters = () => {
    options(state, "All states", model.state_options, wish.state)
    options(sweep, "All experiments", model.sweep_options, wish.sweep)
    if (document.activeElement !== text) text.value = wish.text
  }
  const fillTrash = () => {
    trash.hidden = model.trash.length === 0
    if (trash.dataset.names === String(model.trash)) return // a button keeps its focus
    trash.dataset.names = String(model.trash)
    const list = make("ul", {}, ...model.trash.map((name) => {
      const back = make("button", {type: "button", "aria-label": `Restore ${name}`}, "Restore")
      back.addEventListener("click", () => send("restore", [name]))
      return make("li", {}, make("span", {}, name), back)
    }))
    const empty = make("button", {type: "button", class: "danger"}, "Empty the trash ...")
    empty.addEventListener("click", () => confirm(
      `Remove ${many(model.trash)} for good?`, model.trash, "This cannot be undone.", "Empty the trash", () => send("empty", []),
    ))
    trash.replaceChildren(make("summary", {}, `Deleted runs (${model.trash.length})`), list, empty)
  }

  let timer = 0
  const filter = () => {
    Object.assign(wish, {text: text.value, state: state.value, sweep: sweep.value})
    changed()
  }
  text.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(filter, 200) })
  state.addEventListener("change", filter)
  sweep.addEventListener("change", filter)
  queue.addEventListener("click", () => send("queue", []))
  all.addEventListener("change", () => {
    for (const name of rows.keys()) {
      if (all.checked) selected.add(name)
      else selected.delete(name)
    }
    mark()
    choose()
  })
  setInterval(ages, AGE_EVERY)
  return {
    say,
    /** Select these runs alone, whatever the filters. */
    only(names) {
      selected.clear()
      for (const name of names) selected.add(name)
      Object.assign(wish, {text: "", state: "", sweep: "", names})
    },
    show(found) {
      model = found
      filters()
      draw()
      if (counts.textContent !== model.counts) counts.textContent = model.counts
      waiting.hidden = !model.waiting
      fillTrash()
    },
  }
}
