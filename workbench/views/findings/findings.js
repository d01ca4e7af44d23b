// The page Findings: the list can be searched, parts and figures come when they are needed, and
// measurements are started and followed.

const article = document.getElementById("finding")
const part = document.getElementById("part")
const address = (base, query) => `${base}?${new URLSearchParams(query)}`
const failure = (text) => make("p", {class: "failure", role: "alert"}, text)

// --- the list of questions ---------------------------------------------------------------------

const questions = document.querySelector(".questions")
const search = questions.querySelector("input[type=search]")
const groups = [...questions.querySelectorAll("nav > details")]
const links = [...questions.querySelectorAll("nav a")]
const opened = groups.map((group) => group.open)
const narrow = matchMedia("(max-width: 900px)")
const fold = () => { questions.open = !narrow.matches }
fold()
narrow.addEventListener("change", fold)
if (!narrow.matches) {
  const nav = questions.querySelector("nav"), here = nav.querySelector("[aria-current]")
  if (here) questions.scrollTop = Math.max(0, here.offsetTop - 160)
}

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean)
  let count = 0
  groups.forEach((group, at) => {
    const title = group.querySelector("summary").textContent.toLowerCase()
    let any = false
    for (const link of group.querySelectorAll("a")) {
      const text = `${title} ${link.textContent.toLowerCase()}`
      const fits = words.every((word) => text.includes(word))
      link.parentElement.hidden = !fits
      any ||= fits
      count += fits
    }
    group.hidden = !any
    group.open = words.length ? any : opened[at]
  })
  const status = questions.querySelector("[role=status]")
  status.hidden = !words.length
  status.textContent = count === 1 ? "1 question" : count ? `${count} questions` : "No question has all these words. Try fewer, or clear the search."
}
search.addEventListener("input", filter)
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]")
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault()
    questions.open = true
    search.focus()
  }
})
questions.addEventListener("keydown", (event) => {
  const step = {ArrowDown: 1, ArrowUp: -1}[event.key]
  const shown = links.filter((link) => link.offsetParent)
  if (step) {
    const next = shown[shown.indexOf(document.activeElement) + step]
    event.preventDefault()
    if (next) next.focus()
    else if (step < 0) search.focus()
  } else if (event.key === "Enter" && event.target === search && shown.length) {
    shown[0].click()
  } else if (event.key === "Escape" && search.value) {
    search.value = ""
    filter()
    search.focus()
  }
})

// Whatever leads elsewhere says at once that what is shown is old.
function leave(title) {
  article.classList.add("old")
  article.setAttribute("aria-busy", "true")
  if (title) article.querySelector("h1").textContent = title
}
for (const link of links) {
  link.addEventListener("click", (event) => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey) return
    for (const other of links) other.removeAttribute("aria-current")
    link.setAttribute("aria-current", "page")
    leave(link.querySelector("b").textContent)
  })
}
addEventListener("pageshow", (event) => {
  if (!event.persisted) return
  article.classList.remove("old")
  article.removeAttribute("aria-busy")
})
for (const select of article.querySelectorAll("[data-choice]")) {
  select.addEventListener("change", () => {
    const name = select.dataset.choice
    const options = {...data.options}
    let path = data.at
    if (name === "path") path = select.value
    else options[name.slice("axis:".length)] = select.value
    leave("")
    const query = new URLSearchParams(options).toString()
    location.href = `${data.page}/${path}${query ? `?${query}` : ""}`
  })
}

// --- figures -------------------------------------------------------------------------------------

function numbers(figure) {
  const options = {}
  for (const select of figure.querySelectorAll("[data-option]")) options[select.dataset.option] = select.value
  return options
}

async function draw(figure) {
  const place = figure.querySelector(".drawing")
  const query = {at: figure.dataset.at, number: figure.dataset.number, theme: theme(), ...data.options, ...numbers(figure)}
  const wanted = address(data.figure, query)
  if (figure.dataset.wanted === wanted) return
  figure.dataset.wanted = wanted
  place.setAttribute("aria-busy", "true")
  try {
    const [answer] = await Promise.all([fetch(wanted), plotly()])
    if (!answer.ok) throw new Error(await answer.text())
    const found = await answer.json()
    if (figure.dataset.wanted !== wanted) return // something else was chosen meanwhile
    await plot(figure, found)
  } catch (error) {
    figure.dataset.wanted = ""
    place.replaceChildren(failure(`This figure cannot be drawn: ${error.message}`))
  }
  place.removeAttribute("aria-busy")
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) draw(entry.target)
}, {rootMargin: "300px"})

function enliven(root) {
  for (const figure of root.querySelectorAll("figure.plot")) {
    seen.observe(figure)
    for (const select of figure.querySelectorAll("[data-option]")) select.addEventListener("change", () => draw(figure))
    for (const button of figure.querySelectorAll("[data-save]")) {
      button.addEventListener("click", () =>
        save(figure, button.dataset.save, `${figure.dataset.at}-${figure.dataset.number}`.replaceAll("/", "-")))
    }
  }
  for (const link of root.querySelectorAll("[data-query]")) link.href = `${data.data}?${link.dataset.query}`
}
addEventListener("themechange", () => {
  for (const figure of document.querySelectorAll("figure.plot[data-drawn]")) draw(figure)
})

async function load(at, options) {
  if (at !== "paper") plotly().catch(() => {}) // a figure reports it
  try {
    const answer = await fetch(address(data.part, {at, ...options})), text = await answer.text()
    if (answer.ok) part.innerHTML = text
    else part.replaceChildren(failure(text))
  } catch {
    part.replaceChildren(failure("The server does not answer. Reload the page once it runs again."))
  }
  part.hidden = false
  part.removeAttribute("aria-busy")
  enliven(part)
}

// --- measuring -----------------------------------------------------------------------------------

const PAUSE = 250 // milliseconds without typing before the server is asked
const SOON = 500, SELDOM = 4000 // milliseconds between two looks at what is running

function measuring(el, given) {
  const {fields, top, id, asked, complain, refuse} = fieldsOf("m")
  const form = make("form", {class: "card measure", novalidate: true, "aria-label": "Measure"})
  const said = make("p", {class: "note", role: "status"})
  const news = make("p", {class: "note", role: "status"})
  const list = make("ul", {class: "jobs", "aria-label": "Measured on this machine"})
  el.append(form, news, list)
  let {kind, checkpoint} = given, timer = 0, next = 0, serial = 0
  const states = new Map(), followed = new Set()

  const chosen = (options, value) => {
    const found = select(options)
    found.value = value
    return found
  }
  const setting = (one) => {
    const value = given.values[kind][one.name]
    const input = one.kind === "choice"
      ? chosen(one.choices.map((name) => [name, name]), value)
      : line({maxlength: "40", inputmode: one.kind === "integer" ? "numeric" : null, value})
    return asked(one.name, one.title, input, one.hint)
  }
  function build() {
    fields.clear()
    form.replaceChildren(
      make("div", {class: "fields"},
        asked("kind", "What is measured", chosen(given.kinds, kind), ""),
        asked("checkpoint", "Model", chosen(given.checkpoints.map((name) => [name, name]), checkpoint), ""),
        ...given.fields[kind].map(setting)),
      make("div", {class: "row"}, make("button", {class: "button"}, "Measure"), said), top)
  }
  const wish = (what) => {
    const settings = {}
    for (const one of given.fields[kind]) settings[one.name] = fields.get(one.name).input.value
    return {what, kind, checkpoint, settings}
  }
  const judge = (problems, what) => {
    complain(problems)
    form.querySelector("button").disabled = Object.keys(problems).some((name) => name !== "form")
    if (what === "measure") refuse(problems)
  }
  async function tell(message) {
    const mine = ++serial
    clearTimeout(next)
    try {
      const found = await ask(message)
      if (found.said !== undefined && mine === serial) said.textContent = found.said
      if (found.problems && mine === serial) judge(found.problems, message.what)
      if (found.news) news.textContent = found.news
      if (found.followed) followed.add(found.followed)
      if (found.shown) show(found.shown)
      jobs(found.jobs)
      const running = found.jobs.some((job) => job.state === "running")
      next = setTimeout(() => tell({what: "list"}), document.hidden || !running ? SELDOM : SOON)
    } catch (error) {
      news.textContent = error.message
      next = setTimeout(() => tell({what: "list"}), SELDOM)
    }
  }
  function show(path) {
    history.replaceState(null, "", `${location.pathname}?${new URLSearchParams({kind, checkpoint})}`)
    load(path, {}).then(() => {
      part.prepend(make("p", {}, make("a", {href: `${data.page}/${path}`}, "Link to this result")))
      part.scrollIntoView({block: "start"})
    })
  }

  // rows stay where they are while they change, so that a button keeps its focus
  const rows = new Map()
  const button = (what, label, job) => {
    const found = make("button", {type: "button", class: "button quiet", "aria-label": `${label}: ${job.title}, ${job.words}`}, label)
    found.addEventListener("click", () => (what === "show" ? show(job.shown) : tell({what, key: job.key})))
    return found
  }
  const ACTIONS = {
    running: [["cancel", "Cancel"]],
    done: [["show", "Show"], ["again", "Measure again"]],
    failed: [["again", "Try again"], ["remove", "Remove"]],
    cancelled: [["again", "Try again"], ["remove", "Remove"]],
  }
  function row(job) {
    let found = rows.get(job.key)
    if (!found) {
      const parts = {
        what: make("b", {}, job.title), words: make("span", {class: "small"}, job.words), state: make("span", {class: "state"}),
        bar: make("progress", {max: "1", "aria-label": `Progress of ${job.title}`}), far: make("span", {class: "small number"}),
        doing: make("span", {class: "row"}), problem: make("p", {class: "bad small"}),
      }
      found = {...parts, node: make("li", {class: "card"}, ...Object.values(parts)), at: ""}
      rows.set(job.key, found)
    }
    found.bar.hidden = job.state !== "running"
    if (job.known) found.bar.value = job.share
    else found.bar.removeAttribute("value")
    found.far.textContent = job.progress
    found.problem.textContent = job.problem
    found.problem.hidden = !job.problem
    if (found.at !== job.state) {
      found.at = job.state
      found.state.textContent = job.state
      found.state.className = `state is-${job.state}`
      const held = found.node.contains(document.activeElement)
      found.doing.replaceChildren(...(ACTIONS[job.state] ?? []).map(([what, label]) => button(what, label, job)))
      if (held) found.doing.querySelector("button")?.focus()
    }
    return found.node
  }
  function jobs(found) {
    const nodes = found.map(row)
    const same = nodes.length === list.children.length && nodes.every((node, at) => node === list.children[at])
    if (!same) list.replaceChildren(...nodes)
    for (const job of found) {
      if (followed.has(job.key) && job.state !== states.get(job.key)) {
        if (job.state === "done") { news.textContent = `${job.title} is done and is shown.`; followed.delete(job.key); show(job.shown) }
        if (job.state === "failed") { news.textContent = `${job.title} failed: ${job.problem}`; followed.delete(job.key) }
      }
      if (job.state === "running") followed.add(job.key)
      states.set(job.key, job.state)
    }
    const keys = new Set(found.map((job) => job.key))
    for (const key of [...rows.keys()]) if (!keys.has(key)) rows.delete(key)
  }

  form.addEventListener("input", (event) => {
    clearTimeout(timer)
    if (event.target.tagName === "SELECT") {
      if (event.target.id === id("checkpoint")) checkpoint = event.target.value
      if (event.target.id === id("kind")) {
        kind = event.target.value
        build()
        fields.get("kind").input.focus()
      }
      tell(wish("check"))
    } else timer = setTimeout(() => tell(wish("check")), PAUSE)
  })
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    clearTimeout(timer)
    tell(wish("measure"))
  })
  build()
  tell(wish("check"))
}

if (data.measure && document.getElementById("measure")) measuring(document.getElementById("measure"), data.measure)
else if (part) load(data.at, data.options)
