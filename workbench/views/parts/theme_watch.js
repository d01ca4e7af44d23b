// The shell says on the window when the page turns light or dark; the server draws the figures.
export function render({model}) {
  let told = model.dark
  const tell = () => {
    const dark = document.documentElement.dataset.theme === "dark"
    if (dark === told) return
    told = dark
    model.send_msg({dark})
  }
  addEventListener("themechange", tell)
  tell()
}
