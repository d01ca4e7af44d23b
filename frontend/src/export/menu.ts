// The menu that saves a picture, and whatever else a panel can save.

import { h } from "../dom";
import { toSvg } from "./svg";

export function save(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

export function saveText(name: string, text: string, type: string): void {
  save(name, new Blob([text], { type }));
}

/** Draw an SVG text to a PNG at twice its size. */
async function toPng(svg: string): Promise<Blob> {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = h("canvas", { width: 2 * image.width, height: 2 * image.height });
  canvas.getContext("2d")!.drawImage(image, 0, 0, canvas.width, canvas.height);
  return await new Promise((done, failed) => canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("no picture")))));
}

/** A small menu of things to save, by their words. */
export function saveMenu(label: string, items: [words: string, run: () => void][]): HTMLDetailsElement {
  const menu = h("details", { class: "menu" }, h("summary", { "aria-label": label }, "⤓"));
  const item = ([words, run]: [string, () => void]) => h("button", {
    type: "button", onclick: () => {
      menu.open = false;
      run();
    },
  }, words);
  menu.append(h("div", { class: "sheet" }, ...items.map(item)));
  return menu;
}

/** Save the element as SVG or PNG. */
export function pictureItems(element: HTMLElement, file: string): [string, () => void][] {
  const png = async () => save(`${file}.png`, await toPng(toSvg(element)));
  return [["SVG", () => saveText(`${file}.svg`, toSvg(element), "image/svg+xml")], ["PNG", () => void png()]];
}

export function exportMenu(element: HTMLElement, name: string): HTMLElement {
  const file = name.split(" ")[0];
  return saveMenu(`Save the picture of the ${file}`, pictureItems(element, file));
}
