// Draws a Plotly figure. Panel's own Plotly pane is not used, as the page's theme would write
// its colours over the figure's; here light and dark come from workbench.figures alone.

const CONFIG = {
  displaylogo: false,
  responsive: false,
  modeBarButtons: [["toImage"]],
  toImageButtonOptions: {format: "png", scale: 2},
}

const LATER = 120 // milliseconds that a figure outside the window waits

// As the button for PNG, but what is saved can be edited and printed at any size.
const toSvg = (Plotly) => ({
  name: "toSvg", title: "Download plot as an SVG", icon: Plotly.Icons.disk,
  click: (plot) => Plotly.downloadImage(plot, {
    format: "svg", filename: "figure", width: plot._fullLayout.width, height: plot._fullLayout.height,
  }),
})

// Plotly puts its style rules into the document's head, which this shadow root cannot see.
function adoptStyles(root) {
  const rules = new CSSStyleSheet()
  for (const style of document.querySelectorAll('style[id^="plotly.js-style"]')) {
    for (const rule of style.sheet?.cssRules ?? []) rules.insertRule(rule.cssText)
  }
  root.adoptedStyleSheets = [...root.adoptedStyleSheets, rules]
}

const keyed = (layout) =>
  Object.fromEntries(Object.entries(layout).map(([name, value]) => [name, JSON.stringify(value)]))

async function library() {
  for (let tries = 0; !window.Plotly && tries < 300; tries++) {
    await new Promise((done) => setTimeout(done, 50))
  }
  if (!window.Plotly) throw new Error("plotly.js was not loaded")
  return window.Plotly
}

export function render({model, el}) {
  const plot = document.createElement("div")
  plot.style.width = "100%"
  el.style.width = "100%"
  el.append(plot)
  let ready = false
  let drawn = null
  let drawing = Promise.resolve()

  const describe = () => {
    plot.setAttribute("role", "figure") // not "img", which would hide the button inside
    plot.setAttribute("aria-label", model.label)
  }

  const draw = async () => {
    const Plotly = await library()
    const width = Math.floor(el.clientWidth)
    if (!width || !model.figure?.layout) return
    const {data, layout} = structuredClone(model.figure)
    layout.width = width
    if (window.matchMedia("(pointer: coarse)").matches) layout.dragmode = false // a finger scrolls the page
    plot.style.height = `${layout.height}px`
    const next = {data: JSON.stringify(data), layout: keyed(layout)}
    if (drawn && next.data === drawn.data) {
      // the same curves in another layout: far quicker than drawing them again
      const names = new Set([...Object.keys(next.layout), ...Object.keys(drawn.layout)])
      const changed = [...names].filter((name) => next.layout[name] !== drawn.layout[name])
      if (!changed.length) return
      await Plotly.relayout(plot, Object.fromEntries(changed.map((name) => [name, layout[name] ?? null])))
    } else {
      const zoomed = layout.dragmode === "zoom" ? ["resetScale2d"] : []
      const buttons = model.svg ? [["toImage", toSvg(Plotly), ...zoomed]] : CONFIG.modeBarButtons
      await Plotly.react(plot, data, layout, {...CONFIG, modeBarButtons: buttons})
    }
    drawn = next
    if (!ready) {
      ready = true
      adoptStyles(el.getRootNode())
    }
    plot.dataset.drawn = String(Number(plot.dataset.drawn ?? 0) + 1)
  }
  // What can be seen is drawn at once; the rest of a long page when the browser has a moment, and
  // then as it is by then.
  let later = null
  const queue = () => {
    clearTimeout(later)
    const box = el.getBoundingClientRect()
    const now = () => { drawing = drawing.then(draw, draw) }
    if (box.bottom > 0 && box.top < window.innerHeight) now()
    else later = setTimeout(now, LATER)
  }

  describe()
  queue()
  model.on("figure", queue)
  model.on("label", describe)
  let width = 0
  const observer = new ResizeObserver(() => {
    const now = Math.floor(el.clientWidth)
    if (now !== width) { width = now; queue() }
  })
  observer.observe(el)
  model.on("remove", () => {
    observer.disconnect()
    clearTimeout(later)
    if (ready) window.Plotly.purge(plot)
  })
}
