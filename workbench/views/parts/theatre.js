// Hands Panel's model to the theatre in the form that every host has, and imports the theatre once
// for all pages: from its own address, which browsers keep, or else from its text.
const modules = new Map()
const load = (model) => {
  // this code runs from a blob, against which a relative address cannot be resolved
  const address = model.module && new URL(model.module, location.href).href
  const key = address || "text"
  if (!modules.has(key)) {
    const text = () => URL.createObjectURL(new Blob([model.source], {type: "text/javascript"}))
    modules.set(key, import(address || text()))
  }
  return modules.get(key)
}

const plain = (value) => JSON.parse(JSON.stringify(value)) // Panel sends no entry that is undefined

export async function render({model, el}) {
  const theatre = (await load(model)).default
  const calls = new Map() // what listens to messages, in Panel's form
  const adapter = {
    get: (name) => model[name],
    set: (name, value) => { model[name] = plain(value) },
    save_changes() {},
    send: (message) => model.send_msg(plain(message)),
    on(name, call) {
      if (name === "msg:custom") calls.set(call, (message) => call(message, message.buffers ?? []))
      model.on(name, calls.get(call) ?? call)
    },
    off(name, call) { model.off(name, calls.get(call) ?? call) },
  }
  const leave = theatre.render({model: adapter, el})
  model.on("lifecycle:remove", () => leave?.())
}
