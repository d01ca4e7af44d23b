// Transport controls and the page's keyboard. Actions go to the server one at a time, the next
// when the last has been shown: they keep their order, and a slow machine plays slowly instead of
// falling behind. While playing, the timer asks for a "tick"; the server answers one that comes
// after a pause or a jump without moving.

const ICONS = {
  first: "M6 5v14M19 5 9 12l10 7z",
  back: "M17 5 7 12l10 7z",
  play: "M7 4.5v15l12-7.5z",
  pause: "M8 5v14M16 5v14",
  step: "M5 12h13M13 6l6 6-6 6", // not the triangle of play
  last: "M18 5v14M5 5l10 7-10 7z",
}
const BUTTONS = [
  ["first", "First (Home)"], ["back", "Back one pass (left arrow)"], ["play", "Play (space)"],
  ["step", "Step one pass (right arrow)"], ["last", "Last (End)"],
]
const KEYS = {ArrowLeft: "back", ArrowRight: "step", Home: "first", End: "last", " ": "play"}
const SPEEDS = [0.5, 1, 2, 4]
const USES_KEYS = "input, textarea, select, [contenteditable], [role=slider], [role=combobox], " +
  "[role=listbox], [role=option], [role=menu]"
const LOST = 10_000 // milliseconds after which it stops waiting for an answer

const icon = (name) =>
  `<svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`

// Keys that a focused control uses itself are left to it.
function belongsToControl(event) {
  const target = event.composedPath()[0]
  if (!(target instanceof Element)) return false
  if (target.closest(USES_KEYS)) return true
  return event.key === " " && target.closest("button, a, [role=button], [role=tab]") !== null
}

export function render({model, el}) {
  // Panel pushes every address onto the history; the browser's back button is to leave the page,
  // not to go through every pass that was looked at.
  history.pushState = history.replaceState.bind(history)

  el.innerHTML = `<div class="transport" role="group" aria-label="Transport">
    ${BUTTONS.map(([name, label]) =>
      `<button type="button" data-action="${name}" aria-label="${label.split(" (")[0]}"
        title="${label}">${icon(name)}${name === "step" ? "Step" : ""}</button>`).join("")}
    <label>speed <select aria-label="Playing speed">${SPEEDS.map((s) =>
      `<option value="${s}">${s} / s</option>`).join("")}</select></label>
    <span class="keys" aria-hidden="true"><kbd>&larr;</kbd> <kbd>&rarr;</kbd> step
      <kbd>Home</kbd> <kbd>End</kbd> first/last <kbd>space</kbd> play</span>
  </div>`
  const button = (name) => el.querySelector(`[data-action=${name}]`)
  const speed = el.querySelector("select")
  let busy = false // an action is under way
  let queue = []
  let timer = null
  let watchdog = null

  const send = (action) => {
    clearTimeout(timer)
    if (busy) { queue.push(action); return }
    busy = true
    watchdog = setTimeout(answered, LOST)
    model.send_msg({action})
  }
  const refresh = () => {
    // aria-disabled and not disabled: a button that is disabled while focused drops the focus
    const off = (name, value) => button(name).setAttribute("aria-disabled", String(value))
    for (const name of ["first", "back"]) off(name, model.index === 0)
    for (const name of ["step", "last"]) off(name, model.index === model.count - 1)
    button("play").innerHTML = icon(model.playing ? "pause" : "play")
    button("play").setAttribute("aria-label", model.playing ? "Pause" : "Play")
    speed.value = String(model.speed)
    if (!model.playing) clearTimeout(timer)
  }
  const play = () => {
    clearTimeout(timer)
    if (model.playing) timer = setTimeout(() => { if (model.playing && !busy) send("tick") }, 1000 / model.speed)
  }
  const answered = () => {
    clearTimeout(watchdog)
    busy = false
    if (queue.length) send(queue.shift())
    else play()
  }
  for (const [name] of BUTTONS) {
    button(name).addEventListener("click", () => {
      if (button(name).getAttribute("aria-disabled") !== "true") send(name)
    })
  }
  speed.addEventListener("change", () => { model.speed = Number(speed.value); play() })
  const onKey = (event) => {
    const action = KEYS[event.key]
    if (!action || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return
    if (belongsToControl(event)) return
    event.preventDefault()
    if (event.repeat && busy) return // a held key repeats faster than passes are shown
    send(action)
  }
  document.addEventListener("keydown", onKey)
  for (const name of ["index", "count", "playing", "speed"]) model.on(name, refresh)
  model.on("serial", answered)
  model.on("remove", () => {
    clearTimeout(timer)
    clearTimeout(watchdog)
    document.removeEventListener("keydown", onKey)
  })
  refresh()
}
