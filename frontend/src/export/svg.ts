// A panel as a vector picture: what the browser has laid out, element by element, as SVG.

import { s } from "../dom";

const STYLED = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "opacity", "font-size", "font-weight", "font-family",
  "text-anchor", "dominant-baseline", "marker-end", "visibility"];
const FONTS = ["font-size", "font-weight", "font-family", "font-style"];

/** The SVG text of an element as it stands on the screen. Menus and hidden parts are left out. */
export function toSvg(element: HTMLElement): string {
  const frame = element.getBoundingClientRect();
  const svg = s("svg", { width: frame.width.toFixed(0), height: frame.height.toFixed(0), viewBox: `0 0 ${frame.width.toFixed(1)} ${frame.height.toFixed(1)}` });
  new Drawing(frame).add(element, svg, frame);
  return new XMLSerializer().serializeToString(svg);
}

function size(text: string): number {
  return parseFloat(text) || 0;
}

class Drawing {
  constructor(private readonly frame: DOMRect) {}

  private place(x: number, y: number, width: number, height: number) {
    return { x: (x - this.frame.left).toFixed(1), y: (y - this.frame.top).toFixed(1), width: width.toFixed(1), height: height.toFixed(1) };
  }

  add(element: Element, into: Element, clip: DOMRect): void {
    if (element.classList.contains("menu") || element.classList.contains("unseen")) return;
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    const gone = style.display === "none" || style.visibility === "hidden" || Number(style.opacity) === 0;
    if (gone || box.bottom <= clip.top || box.top >= clip.bottom) return;
    if (element instanceof SVGSVGElement) return void into.append(this.drawing(element, box));
    const { left, top, width, height } = box;
    if (element instanceof HTMLCanvasElement) return void into.append(s("image", { ...this.place(left, top, width, height), href: element.toDataURL() }));
    const group = s("g", { opacity: Number(style.opacity) < 1 ? style.opacity : undefined });
    this.ground(style, box, group);
    this.decorations(element, style, box, group);
    const inner = style.overflowY === "auto" || style.overflowY === "scroll" ? box : clip;
    for (const child of element.childNodes) {
      if (child instanceof Text) this.lines(child, style, group, inner);
      else if (child instanceof HTMLSelectElement) this.words(child.selectedOptions[0]?.text ?? "", getComputedStyle(child), child.getBoundingClientRect(), group);
      else if (child instanceof Element) this.add(child, group, inner);
    }
    if (group.childNodes.length) into.append(group);
  }

  /** The ground with its border; or the line below. */
  private ground(style: CSSStyleDeclaration, box: DOMRect, into: Element): void {
    const border = size(style.borderTopWidth), under = size(style.borderBottomWidth);
    const filled = !/rgba\(0, 0, 0, 0\)|transparent/.test(style.backgroundColor);
    const { left, top, width, height } = box;
    if ((filled || border) && width && height) {
      into.append(s("rect", {
        ...this.place(left + border / 2, top + border / 2, width - border, height - border), fill: filled ? style.backgroundColor : "none",
        stroke: border ? style.borderTopColor : undefined, "stroke-width": border || undefined,
        "stroke-dasharray": border && style.borderTopStyle === "dashed" ? "4 3" : undefined, rx: Math.min(size(style.borderTopLeftRadius), height / 2),
      }));
    } else if (under) into.append(s("rect", { ...this.place(left, box.bottom - under, width, under), fill: style.borderBottomColor }));
  }

  /** A border at one side, a scale of colours, the bar under a token. */
  private decorations(element: Element, style: CSSStyleDeclaration, box: DOMRect, into: Element): void {
    const bar = (x: number, y: number, width: number, height: number, fill: string, opacity?: string) =>
      into.append(s("rect", { ...this.place(x, y, width, height), fill, opacity }));
    const side = size(style.borderLeftWidth);
    if (side && !size(style.borderTopWidth)) bar(box.left, box.top, side, box.height, style.borderLeftColor);
    const colours = style.backgroundImage.startsWith("linear-gradient(to right") ? style.backgroundImage.match(/rgba?\([^)]*\)/g) : null;
    colours?.forEach((colour, i) => bar(box.left + (i * box.width) / colours.length, box.top, box.width / colours.length + 0.5, box.height, colour));
    const after = getComputedStyle(element, "::after"), width = size(after.width), height = size(after.height);
    if (after.content === "none" || !height || !width) return;
    bar(box.left + parseFloat(after.left), box.bottom - parseFloat(after.bottom) - height, width, height, after.backgroundColor, after.opacity);
  }

  /** The text of a node, one SVG text per line as the browser broke it. */
  private lines(node: Text, style: CSSStyleDeclaration, into: Element, clip: DOMRect): void {
    const text = node.data;
    if (!text.trim()) return;
    const range = document.createRange();
    let start = 0, last: DOMRect | undefined;
    const flush = (stop: number) => {
      if (last) this.words(text.slice(start, stop), style, last, into);
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

  private words(text: string, style: CSSStyleDeclaration, box: DOMRect, into: Element): void {
    const { x, y } = this.place(box.left, box.top + box.height / 2, 0, 0);
    const fonts = Object.fromEntries(FONTS.map((name) => [name, style.getPropertyValue(name)]));
    const shown = style.textTransform === "uppercase" ? text.toUpperCase() : text.replace(/\s+/g, " ").replace(/\s$/, "");
    into.append(s("text", { x, y, "dominant-baseline": "central", fill: style.color, ...fonts, "xml:space": "preserve" }, shown));
  }

  /** A copy of an SVG with the looks that style sheets give it. */
  private drawing(svg: SVGSVGElement, box: DOMRect): Element {
    const copy = svg.cloneNode(true) as SVGSVGElement;
    const to = copy.querySelectorAll("*");
    svg.querySelectorAll("*").forEach((one, i) => {
      const style = getComputedStyle(one);
      for (const name of STYLED) if (style.getPropertyValue(name)) to[i].setAttribute(name, style.getPropertyValue(name));
      to[i].removeAttribute("class");
    });
    for (const [name, value] of Object.entries(this.place(box.left, box.top, box.width, box.height))) copy.setAttribute(name, value);
    copy.removeAttribute("class");
    copy.removeAttribute("style");
    return copy;
  }
}
