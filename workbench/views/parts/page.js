// What the scripts of pages share. The text of this file stands in front of theirs.

const data = JSON.parse(document.getElementById("data").textContent)
const theme = () => document.documentElement.dataset.theme

/** Ask the server; its answer is a stream of frames, of which the JSON result and the problem count. */
async function ask(wish, signal) {
  const answer = await fetch(data.ask, {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(wish), signal})
  if (!answer.ok) throw new Error(await answer.text())
  const bytes = await answer.arrayBuffer(), view = new DataView(bytes)
  let found = {}
  for (let at = 0; at < bytes.byteLength;) {
    const length = view.getUint32(at, true), kind = String.fromCharCode(view.getUint8(at + 4))
    const content = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, at + 5, length)))
    at += 5 + length
    if (kind === "j") found = content
    if (kind === "r" && content.problem) throw new Error(content.problem)
  }
  return found
}
