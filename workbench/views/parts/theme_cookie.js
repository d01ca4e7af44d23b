// Light or dark: what was chosen on this site before, else what the system asks for. Only a choice
// is kept, so that a page without one goes on following the system.
export function render({model}) {
  const chosen = document.cookie.split("; ").some((part) => part.startsWith(`${model.cookie}=`))
  let system = false // the change under way is the system's wish
  const paint = () => { document.documentElement.dataset.theme = model.dark ? "dark" : "light" }
  const keep = () => {
    paint()
    if (system) { system = false; return }
    document.cookie = `${model.cookie}=${model.dark ? "dark" : "light"}; path=/; max-age=31536000; SameSite=Lax`
  }
  model.on("dark", keep)
  paint()
  if (!chosen && matchMedia("(prefers-color-scheme: dark)").matches !== model.dark) {
    system = true
    model.send_msg({dark: !model.dark})
  }
}
