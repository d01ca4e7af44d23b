// A panel as a vector picture: what the browser has laid out, element by element, as SVG.

const NS = "http://www.w3.org/2000/svg";
const STYLED = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "opacity", "font-size", "font-weight", "font-family",
  "text-anchor", "dominant-baseline", "marker-end", "visibility"];

/** The SVG text of an element as it stands on the screen. Menus and hidden parts are left out. */
export function toSvg(element: HTMLElement): string {
  const frame = element.getBoundingClientRect();
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("xmlns", NS);
  svg.setAttribute("width", frame.width.toFixed(0));
  svg.setAttribute("height", frame.height.toFixed(0));
  svg.setAttribute("viewBox", `0 0 ${frame.width.toFixed(1)} ${frame.height.toFixed(1)}`);
  add(element, svg, frame, frame);
  return new XMLSerializer().serializeToString(svg);
}

function add(element: Element, into: Element, frame: DOMRect, clip: DOMRect): void {
  if (element.classList.contains("menu") || element.classList.contains("unseen")) return;
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  const gone = style.display === "none" || style.visibility === "hidden" || Number(style.opacity) === 0;
  const outside = box.bottom <= clip.top || box.top >= clip.bottom;
  if (gone || outside) return;
  if (element instanceof SVGSVGElement) return void into.append(drawing(element, box, frame));
  if (element instanceof HTMLCanvasElement) return void into.append(picture(element, box, frame));
  const group = document.createElementNS(NS, "g");
  if (Number(style.opacity) < 1) group.setAttribute("opacity", style.opacity);
  rectangle(style, box, frame, group);
  decorations(element, style, box, frame, group);
  const scrolls = style.overflowY === "auto" || style.overflowY === "scroll";
  const inner = scrolls ? box : clip;
  for (const child of element.childNodes) {
    if (child.nodeType === Node.TEXT_NODE) lines(child as Text, style, group, frame, inner);
    else if (child instanceof HTMLSelectElement) words(child.selectedOptions[0]?.text ?? "", getComputedStyle(child), child.getBoundingClientRect(), group, frame);
    else if (child instanceof Element) add(child, group, frame, inner);
  }
  if (group.childNodes.length) into.append(group);
}

function rectangle(style: CSSStyleDeclaration, box: DOMRect, frame: DOMRect, into: Element): void {
  const border = parseFloat(style.borderTopWidth) || 0;
  const filled = !/rgba\(0, 0, 0, 0\)|transparent/.test(style.backgroundColor);
  const under = parseFloat(style.borderBottomWidth) || 0;
  if ((filled || border) && box.width && box.height) {
    const rect = document.createElementNS(NS, "rect");
    const half = border / 2;
    place(rect, box.left - frame.left + half, box.top - frame.top + half, box.width - border, box.height - border);
    rect.setAttribute("fill", filled ? style.backgroundColor : "none");
    if (border) {
      rect.setAttribute("stroke", style.borderTopColor);
      rect.setAttribute("stroke-width", String(border));
      if (style.borderTopStyle === "dashed") rect.setAttribute("stroke-dasharray", "4 3");
    }
    rect.setAttribute("rx", String(Math.min(parseFloat(style.borderTopLeftRadius) || 0, box.height / 2)));
    into.append(rect);
  } else if (under) {
    const rect = document.createElementNS(NS, "rect");
    place(rect, box.left - frame.left, box.bottom - frame.top - under, box.width, under);
    rect.setAttribute("fill", style.borderBottomColor);
    into.append(rect);
  }
}

/** A border at one side, a scale of colours, the bar under a token. */
function decorations(element: Element, style: CSSStyleDeclaration, box: DOMRect, frame: DOMRect, into: Element): void {
  const bar = (x: number, y: number, width: number, height: number, fill: string) => {
    const rect = document.createElementNS(NS, "rect");
    place(rect, x - frame.left, y - frame.top, width, height);
    rect.setAttribute("fill", fill);
    into.append(rect);
    return rect;
  };
  const side = parseFloat(style.borderLeftWidth) || 0;
  if (side && !parseFloat(style.borderTopWidth)) bar(box.left, box.top, side, box.height, style.borderLeftColor);
  const colours = style.backgroundImage.startsWith("linear-gradient(to right") ? style.backgroundImage.match(/rgba?\([^)]*\)/g) : null;
  colours?.forEach((colour, i) => bar(box.left + (i * box.width) / colours.length, box.top, box.width / colours.length + 0.5, box.height, colour));
  const after = getComputedStyle(element, "::after");
  if (after.content === "none" || !parseFloat(after.height) || !parseFloat(after.width)) return;
  const rect = bar(box.left + parseFloat(after.left), box.bottom - parseFloat(after.bottom) - parseFloat(after.height), parseFloat(after.width), parseFloat(after.height), after.backgroundColor);
  rect.setAttribute("opacity", after.opacity);
}

/** The text of a node, one SVG text per line as the browser broke it. */
function lines(node: Text, style: CSSStyleDeclaration, into: Element, frame: DOMRect, clip: DOMRect): void {
  const text = node.data;
  if (!text.trim()) return;
  const range = document.createRange();
  let start = 0, last: DOMRect | undefined;
  const flush = (stop: number) => {
    if (last) words(text.slice(start, stop), style, last, into, frame);
  };
  for (let i = 0; i < text.length; i++) {
    range.setStart(node, i);
    range.setEnd(node, i + 1);
    const box = range.getBoundingClientRect();
    if (!box.width || box.top < clip.top - 1 || box.bottom > clip.bottom + 1) continue;
    if (!last || Math.abs(box.top - last.top) > 2) {
      flush(i);
      [start, last] = [i, box];
    }
  }
  flush(text.length);
}

function words(text: string, style: CSSStyleDeclaration, box: DOMRect, into: Element, frame: DOMRect): void {
  const element = document.createElementNS(NS, "text");
  element.setAttribute("x", (box.left - frame.left).toFixed(1));
  element.setAttribute("y", (box.top - frame.top + box.height / 2).toFixed(1));
  element.setAttribute("dominant-baseline", "central");
  element.setAttribute("fill", style.color);
  for (const name of ["font-size", "font-weight", "font-family", "font-style"]) element.setAttribute(name, style.getPropertyValue(name));
  element.setAttribute("xml:space", "preserve");
  element.textContent = style.textTransform === "uppercase" ? text.toUpperCase() : text.replace(/\s+/g, " ").replace(/\s$/, "");
  into.append(element);
}

function drawing(svg: SVGSVGElement, box: DOMRect, frame: DOMRect): Element {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  const from = svg.querySelectorAll("*"), to = copy.querySelectorAll("*");
  from.forEach((one, i) => {
    const style = getComputedStyle(one);
    for (const name of STYLED) if (style.getPropertyValue(name)) to[i].setAttribute(name, style.getPropertyValue(name));
    to[i].removeAttribute("class");
  });
  place(copy, box.left - frame.left, box.top - frame.top, box.width, box.height);
  copy.removeAttribute("class");
  copy.removeAttribute("style");
  return copy;
}

function picture(canvas: HTMLCanvasElement, box: DOMRect, frame: DOMRect): Element {
  const image = document.createElementNS(NS, "image");
  place(image, box.left - frame.left, box.top - frame.top, box.width, box.height);
  image.setAttribute("href", canvas.toDataURL());
  return image;
}

function place(element: Element, x: number, y: number, width: number, height: number): void {
  Object.entries({ x, y, width, height }).forEach(([name, value]) => element.setAttribute(name, value.toFixed(1)));
}
