// Remembers light or dark for the next page of this site.
export function render({model}) {
  const keep = () => {
    document.cookie = `${model.cookie}=${model.dark ? "dark" : "light"}; path=/; max-age=31536000; SameSite=Lax`
  }
  model.on("dark", keep)
}
