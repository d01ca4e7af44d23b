// Hands Panel's model to the theatre in the form that every host has, and imports the theatre once
// for all components.
let loaded
const load = ({source}) =>
  loaded ??= import(URL.createObjectURL(new Blob([source], {type: "text/javascript"})))

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
