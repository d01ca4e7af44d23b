// A whole number: a native field with a button on either side. The server gets what was typed;
// for a value that does not exist it says so and sets the nearest one.

const FAR = 2 ** 52 // beyond it numbers here are not exact

export function render({model, el}) {
  el.style.width = "100%"
  el.innerHTML = `<div class="choice plain"><div class="count">
    <button type="button">\u2212</button><input type="number" step="1"><button type="button">+</button>
  </div><span aria-hidden="true"></span></div>`
  const input = el.querySelector("input")
  const [less, more] = el.querySelectorAll("button")
  const show = () => { input.value = String(model.value) }
  const name = () => {
    el.querySelector("span").textContent = model.label
    input.setAttribute("aria-label", model.label)
    less.setAttribute("aria-label", `${model.label}: one less`)
    more.setAttribute("aria-label", `${model.label}: one more`)
  }
  const send = (number) => {
    if (Number.isFinite(number)) model.value = Math.trunc(Math.max(-FAR, Math.min(FAR, number)))
    show()
  }
  const within = (number) => Math.max(model.start, Math.min(model.end, number))
  input.addEventListener("change", () => send(input.value === "" ? NaN : Number(input.value)))
  less.addEventListener("click", () => send(within(model.value - 1)))
  more.addEventListener("click", () => send(within(model.value + 1)))
  model.on("value", show)
  model.on("label", name)
  name()
  show()
}
