// Measures on demand: a form whose fields come from the server, and the measurements of this
// machine. What is typed travels as one message.

const PAUSE = 250 // ms without typing before the server is asked

const WORDS = {running: "running", done: "done", failed: "failed", cancelled: "cancelled"}

export function render({model, el}) {
  el.style.width = "100%"
  const form = make("form", {class: "lab-form measure", "aria-label": "Measure", novalidate: ""})
  const news = make("p", {class: "said", role: "status"})
  const list = make("ul", {class: "jobs", "aria-label": "Measured on this machine"})
  el.append(form, news, list)
  const {fields, top, asked, complain, refuse} = fieldsOf("m")
  let timer = 0, said

  const setting = (s) => asked(s.name, s.title, s.kind === "choice"
    ? select(s.choices.map((c) => [c, c]))
    : line({maxlength: "40", inputmode: s.kind === "integer" ? "numeric" : null}), s.hint)

  const message = (what) => {
    const settings = {}
    for (const s of model.fields) settings[s.name] = fields.get(s.name).input.value
    const kind = fields.get("kind")?.input.value ?? model.values.kind
    return {what, kind, checkpoint: fields.get("checkpoint").input.value, settings}
  }

  const build = () => {
    const held = form.getRootNode().activeElement?.id
    fields.clear()
    const first = [asked("checkpoint", "Checkpoint", select(model.checkpoints.map((n) => [n, n])), "")]
    if (model.kinds.length > 1) first.push(asked("kind", "What is measured", select(model.kinds), "", "field long"))
    said = make("p", {class: "preview", role: "status"})
    form.replaceChildren(make("div", {class: "grid"}, ...first, ...model.fields.map(setting)),
      make("div", {class: "go"}, make("button", {type: "submit", class: "primary"}, "Measure"), said), top)
    for (const [name, {input}] of fields) {
      input.value = (name === "kind" || name === "checkpoint" ? model.values[name] : model.values.settings?.[name]) ?? ""
    }
    complain(model.problems)
    tell()
    if (held) form.querySelector(`#${held}`)?.focus()
  }
  const tell = () => { if (said.textContent !== model.said) said.textContent = model.said }

  // rows stay where they are while they change, so that a button keeps its focus
  const rows = new Map()
  const button = (what, label, job, quiet) => {
    const found = make("button", {type: "button", class: quiet ? "quiet" : null, "aria-label": `${label} ${job.title}, ${job.words}`}, label)
    found.addEventListener("click", () => model.send_msg({what, key: job.key}))
    return found
  }
  const actions = (job) => ({
    running: () => [button("cancel", "Cancel", job)],
    done: () => [button("show", "Show", job), button("again", "Measure again", job, true)],
    failed: () => [button("again", "Try again", job), button("remove", "Remove", job, true)],
    cancelled: () => [button("again", "Try again", job), button("remove", "Remove", job, true)],
  }[job.state] ?? (() => []))()
  const row = (job) => {
    let found = rows.get(job.key)
    if (!found) {
      const node = make("li")
      node.innerHTML = `<span class="what"><b></b><small></small></span><span class="state"></span>
        <progress max="1"></progress><span class="far"></span><span class="doing run-actions"></span><p class="problem"></p>`
      found = {node, state: ""}
      rows.set(job.key, found)
    }
    const at = (name) => found.node.querySelector(name)
    at("b").textContent = job.title
    at("small").textContent = job.words
    const bar = at("progress")
    bar.hidden = job.state !== "running"
    bar.setAttribute("aria-label", `Progress of ${job.title}`)
    if (job.known) bar.value = job.share
    else bar.removeAttribute("value")
    at(".far").textContent = job.progress
    at(".problem").textContent = job.problem
    at(".problem").hidden = !job.problem
    if (found.state !== job.state) {
      found.state = job.state
      at(".state").textContent = WORDS[job.state] ?? job.state
      at(".state").className = `state s-${{done: "finished", cancelled: "stopped"}[job.state] ?? job.state}`
      const held = found.node.contains(found.node.getRootNode().activeElement)
      at(".doing").replaceChildren(...actions(job))
      if (held) at(".doing button")?.focus()
    }
    return found.node
  }
  const show = () => {
    const nodes = model.jobs.map(row)
    const keys = new Set(model.jobs.map((job) => job.key))
    for (const key of [...rows.keys()]) if (!keys.has(key)) rows.delete(key)
    const same = nodes.length === list.children.length && nodes.every((node, i) => node === list.children[i])
    if (!same) list.replaceChildren(...nodes)
    list.hidden = !nodes.length
  }

  form.addEventListener("input", (event) => {
    if (event.target.tagName === "SELECT") return
    clearTimeout(timer)
    timer = setTimeout(() => model.send_msg(message("change")), PAUSE)
  })
  form.addEventListener("change", (event) => {
    if (event.target.tagName !== "SELECT") return
    clearTimeout(timer)
    model.send_msg(message(event.target.id === "m-kind" ? "kind" : "change"))
  })
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    clearTimeout(timer)
    model.send_msg(message("measure"))
  })
  model.on("refused", () => refuse(model.problems))
  model.on("serial", build)
  model.on("problems", () => complain(model.problems))
  model.on("said", tell)
  model.on("news", () => { news.textContent = model.news })
  model.on("jobs", show)
  model.on("remove", () => clearTimeout(timer))
  news.textContent = model.news
  build()
  show()
}
