// The page Experiment: asks the server what is new, and shows it. Filters and selection are in the
// address; the server keeps nothing of a visit.

const PERIOD = 500, SELDOM = 4000 // ms between two asks; where nobody looks or answers, fewer
const NARROWEST = 260 // pixels that a panel of a figure needs
const STEP = 20 // pixels of width below which figures keep their columns

const by = (id) => document.getElementById(id)
const {wish} = data
const client = Math.random().toString(36).slice(2)
const right = by("right"), finished = by("asleep").querySelector("select")
let version = "", drawn = "", until = [], timer = 0, turn = 0, lost = false
let drawing = Promise.resolve()

const table = runTable(by("runs"), wish, {changed, act})
const wanted = () => ({
  client, ...wish, theme: theme(), smoothing: Number(by("smoothing").value),
  columns: Math.max(1, Math.floor(right.clientWidth / STEP) * STEP / NARROWEST | 0),
})

/** Show runs, or what to do first where there are none. */
function show(found) {
  by("empty").hidden = found.total > 0
  by("runs").hidden = !(found.total || found.trash.length)
  if (found.problem) table.say(found.problem)
  table.show(found)
}

/** Ask what is new, now and then again; the figures follow the table, which must not wait. */
async function look() {
  clearTimeout(timer)
  const mine = ++turn
  try {
    const found = await ask({kind: "look", ...wanted(), until, version})
    if (mine !== turn) return
    if (lost) table.say("")
    lost = false
    if (found.version !== version) {
      version = found.version
      if (until.length && !found.going) { // "4 runs are queued" has become untrue
        table.say("")
        until = []
      }
      show(found)
      if (found.drawn !== drawn) drawing = drawing.then(draw, draw)
    }
  } catch (error) {
    if (mine !== turn) return
    lost = true
    version = ""
    table.say(error instanceof TypeError ? SILENT : error.message)
  }
  timer = setTimeout(look, document.hidden || lost ? SELDOM : PERIOD)
}

/** Something else is wanted: it goes into the address, and is asked for at once. */
function changed() {
  const others = [...new URLSearchParams(location.search)].filter(([name]) => !["text", "state", "experiment", "runs"].includes(name))
  const ours = {text: wish.text, state: wish.state, experiment: wish.sweep, runs: wish.names.join(",")}
  const search = new URLSearchParams([...Object.entries(ours).filter(([, value]) => value), ...others]).toString().replaceAll("%2C", ",")
  history.replaceState(null, "", `${location.pathname}${search ? `?${search}` : ""}`)
  version = ""
  return look()
}

async function act(action, names, text) {
  until = []
  try {
    const {said} = await ask({kind: "do", action, names, text})
    look()
    return said
  } catch (error) {
    return error instanceof TypeError ? SILENT : error.message
  }
}

/** Draw what the selected runs have logged. */
async function draw() {
  let found
  try {
    found = await ask({kind: "curves", ...wanted()})
  } catch (error) {
    found = {drawn: "", figures: {}, hint: error.message, conclusion: [], differences: "", finished: []}
    if (error instanceof TypeError) version = "" // the server is away: again once it answers
  }
  drawn = found.drawn
  by("hint").textContent = found.hint
  by("hint").hidden = !found.hint
  fill("shows", found.conclusion.length, (place) => place.replaceChildren(...found.conclusion.map((words) => make("p", {}, words))))
  fill("differences", found.differences, (place) => { place.innerHTML = found.differences })
  fill("asleep", found.finished.length, () => {
    const chosen = finished.value
    models = found.finished
    finished.replaceChildren(new Option("none", ""), ...models.map(({name}) => new Option(name.slice("runs/".length), name)))
    if (models.some(({name}) => name === chosen)) finished.value = chosen
    else if (chosen) watch("")
  })
  for (const figure of document.querySelectorAll("figure.plot")) {
    const one = found.figures[figure.id], text = JSON.stringify(one)
    figure.hidden = !one
    if (!one || figure.given === text) continue
    figure.given = text
    try {
      await plot(figure, one)
    } catch (error) {
      figure.querySelector(".drawing").replaceChildren(make("p", {class: "failure"}, error.message))
    }
  }
}

/** Show a part of the page where it has something to show; what stays as it is keeps its place. */
function fill(id, some, change) {
  const part = by(id)
  part.hidden = !some
  if (some) change(part.lastElementChild)
}

/** Play a finished run in the theatre. */
let leave = null, models = []
async function watch(name) {
  leave?.()
  leave = null
  by("stage")?.remove()
  by("problems").hidden = true
  if (!name) return
  const stage = make("div", {id: "stage"}), inside = make("div")
  stage.attachShadow({mode: "open"}).append(inside) // this page's styles end here
  by("asleep").append(stage)
  const {start} = await import(data.web)
  const catalogue = models.filter((one) => one.name === name), first = `${data.explore}/first?${new URLSearchParams({model: name})}`
  const end = await start({...data.theatre, first, catalogue, place: {model: name}, keep: [], settings: {plotly: data.plotly}}, inside)
  if (by("stage") === stage) leave = end
  else end?.()
}
finished.addEventListener("change", () => watch(finished.value))

for (const button of document.querySelectorAll("[data-save]")) {
  const figure = button.closest("figure"), name = `sleep-${figure.id.replaceAll("_", "-")}`
  button.addEventListener("click", async () => {
    try {
      if (button.dataset.save !== "csv") return await save(figure, button.dataset.save, name)
      const {name: file, text} = await ask({kind: "csv", which: figure.id, ...wanted()})
      const link = make("a", {href: URL.createObjectURL(new Blob([text], {type: "text/csv"})), download: file})
      link.click()
      setTimeout(() => URL.revokeObjectURL(link.href), 1000)
    } catch (error) {
      table.say(error instanceof TypeError ? SILENT : error.message)
    }
  })
}
by("smoothing").addEventListener("change", changed)
addEventListener("themechange", changed)
let width = 0
new ResizeObserver(() => {
  const now = wanted().columns
  if (width && now !== width) changed()
  width = now
}).observe(right)

labForm(by("form"), data.form, (found) => {
  table.only(found.started)
  until = found.until
  table.say(found.said)
  changed()
})
show(data.runs)
changed()
