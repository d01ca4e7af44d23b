// The menu of a panel that saves its picture.

import { h } from "../dom";
import { toSvg } from "./svg";

export function save(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** Draw an SVG text to a PNG at twice its size. */
export async function toPng(svg: string): Promise<Blob> {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = h("canvas", { width: 2 * image.width, height: 2 * image.height });
  canvas.getContext("2d")!.drawImage(image, 0, 0, canvas.width, canvas.height);
  return await new Promise((done, failed) => canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("no picture")))));
}

/** A small menu: save the element as SVG or PNG. */
export function exportMenu(element: HTMLElement, name: string): HTMLElement {
  const file = name.split(" ")[0];
  const menu = h("details", { class: "menu" }, h("summary", { "aria-label": `Save the picture of the ${file}` }, "⤓"));
  const svg = () => save(`${file}.svg`, new Blob([toSvg(element)], { type: "image/svg+xml" }));
  const png = async () => save(`${file}.png`, await toPng(toSvg(element)));
  const item = (words: string, run: () => void) => h("button", {
    type: "button", onclick: () => {
      menu.open = false;
      run();
    },
  }, words);
  menu.append(h("div", { class: "sheet" }, item("SVG", svg), item("PNG", () => void png())));
  return menu;
}
