// Small helpers for elements, and the one tooltip.

import { TERMS } from "./words";

type Children = (Node | string | undefined)[];
type Attributes = { [name: string]: string | number | boolean | undefined | ((event: any) => void) };

/** Make an HTML element; `onclick` and the like become listeners. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Children): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), attributes, children);
}

const SVG = "http://www.w3.org/2000/svg";

export function s<K extends keyof SVGElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Children): SVGElementTagNameMap[K] {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill<E extends Element>(element: E, attributes: Attributes, children: Children): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  for (const child of children) if (child !== undefined) element.append(child);
  return element;
}

/** Set text only where it differs: no layout for what stays. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function flag(element: Element, name: string, on: boolean): void {
  if (element.classList.contains(name) !== on) element.classList.toggle(name, on);
}

export function attribute(element: Element, name: string, value: string | undefined): void {
  if (value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** A word with its definition, by hover, focus or tap. */
export function term(name: keyof typeof TERMS & string, text = name): HTMLElement {
  return h("button", { class: "term", type: "button", "data-tip": TERMS[name] }, text);
}

/** Show what `data-tip` says of the element under the pointer or in focus. */
export function tooltips(root: HTMLElement): void {
  const tip = h("div", { class: "tip", role: "tooltip", id: "tip", hidden: true });
  root.append(tip);
  let owner: Element | null = null;
  const show = (event: Event) => {
    const target = (event.target as Element).closest?.("[data-tip]") ?? null;
    if (target === owner) return;
    owner?.removeAttribute("aria-describedby");
    owner = target;
    tip.hidden = !owner;
    if (!owner) return;
    tip.textContent = owner.getAttribute("data-tip");
    owner.setAttribute("aria-describedby", "tip");
    const at = owner.getBoundingClientRect(), frame = root.getBoundingClientRect();
    const left = Math.min(Math.max(at.left - frame.left, 8), Math.max(8, frame.width - tip.offsetWidth - 8));
    const below = at.bottom - frame.top + 6;
    const fits = at.bottom + tip.offsetHeight + 12 < innerHeight;
    tip.style.left = `${left}px`;
    tip.style.top = `${fits ? below : at.top - frame.top - tip.offsetHeight - 6}px`;
  };
  const hide = () => {
    owner?.removeAttribute("aria-describedby");
    owner = null;
    tip.hidden = true;
  };
  for (const name of ["pointerover", "focusin", "click"]) root.addEventListener(name, show);
  root.addEventListener("pointerleave", hide);
  root.addEventListener("focusout", hide);
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });
}

/** Watch an element's width, rounded; called at once when it is known. */
export function onWidth(element: Element, call: (width: number) => void): () => void {
  let last = 0;
  const observer = new ResizeObserver(([entry]) => {
    const width = Math.round(entry.contentRect.width);
    if (width && width !== last) call((last = width));
  });
  observer.observe(element);
  return () => observer.disconnect();
}

/** A button with a border. */
export function quiet(words: string, onclick: () => void): HTMLButtonElement {
  return h("button", { type: "button", class: "quiet", onclick }, words);
}

/** A button that copies a text, and says for a moment whether that worked. */
export function copyButton(words: string, text: () => string): HTMLButtonElement {
  const button = quiet(words, async () => {
    try {
      await navigator.clipboard.writeText(text());
      say(button, "Copied");
    } catch {
      say(button, "Could not copy");
    }
    setTimeout(() => say(button, words), 1600);
  });
  return button;
}

/** Fill a menu, where it differs, and choose. */
export function options(select: HTMLSelectElement, all: [value: string, text: string][], chosen: string): void {
  const now = [...select.options].map((one) => one.value + one.text).join();
  if (now !== all.map((one) => one.join("")).join()) select.replaceChildren(...all.map(([value, text]) => h("option", { value }, text)));
  if (select.value !== chosen) select.value = chosen;
}

/** A table that scrolls within its card; `caption` names it, for screen readers alone unless it is shown. */
export function scrolled(caption: string, heads: string[], rows: Node[], look = "", shown = false): HTMLElement {
  return h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": caption },
    h("table", { class: look }, h("caption", { class: shown ? "" : "unseen" }, caption),
      h("thead", {}, h("tr", {}, ...heads.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, ...rows)));
}
