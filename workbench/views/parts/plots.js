// Plotly's figures: its script once for all, drawing in place, saving. `figure` is an element with a
// place `.drawing`. This text stands in front of the script of each page that draws.

let library
function plotly() {
  library ??= new Promise((done, failed) => {
    const script = make("script", {src: data.plotly})
    script.addEventListener("load", () => done(window.Plotly))
    script.addEventListener("error", () => failed(new Error("the script that draws figures did not load")))
    document.head.append(script)
  })
  return library
}

const PANEL = 175 // pixels that a panel needs at least: below that a figure scrolls

function columns(layout) {
  const starts = Object.keys(layout).filter((name) => name.startsWith("xaxis")).map((name) => layout[name].domain?.[0] ?? 0)
  return new Set(starts.map((start) => start.toFixed(3))).size
}

async function plot(figure, {data: traces, layout}) {
  const [Plotly] = await Promise.all([plotly(), document.fonts.ready])
  const place = figure.querySelector(".drawing"), zoom = layout.dragmode === "zoom"
  figure.least = PANEL * columns(layout) + (layout.margin?.l ?? 60)
  layout.width = Math.max(place.clientWidth, figure.least)
  if (matchMedia("(pointer: coarse)").matches) layout.dragmode = false // a finger scrolls the page
  await Plotly.react(place, traces, layout, {displayModeBar: zoom, displaylogo: false, modeBarButtons: [["resetScale2d"]], responsive: false})
  place.style.minHeight = ""
  figure.dataset.drawn = String(Number(figure.dataset.drawn ?? 0) + 1)
  sized.observe(place)
}

const sized = new ResizeObserver((entries) => {
  for (const {target, contentRect} of entries) {
    const width = Math.max(Math.floor(contentRect.width), target.closest("figure").least ?? 0)
    if (target.layout && contentRect.width && target.layout.width !== width) window.Plotly.relayout(target, {width})
  }
})

async function save(figure, format, filename) {
  const Plotly = await plotly(), place = figure.querySelector(".drawing")
  const paper = getComputedStyle(document.documentElement).getPropertyValue("--paper")
  const {width, height} = place._fullLayout
  const layout = {...place.layout, paper_bgcolor: paper}
  await Plotly.downloadImage({data: place.data, layout}, {format, width, height, scale: format === "png" ? 2 : 1, filename})
}
