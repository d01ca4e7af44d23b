// Colours, from the one table of all figures (colours.json is compared with workbench/figures/theme.py).

import table from "./colours.json";

export type Theme = "light" | "dark";
export type Rgb = [number, number, number];

export const FONT = table.font;

export function hex(colour: string): Rgb {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)) as Rgb;
}

/** The colour at t = 0..1 of colours at equal distances. */
export function along(colours: string[], t: number): Rgb {
  const at = Math.min(Math.max(t, 0), 1) * (colours.length - 1);
  const low = Math.min(Math.floor(at), colours.length - 2);
  const a = hex(colours[low]), b = hex(colours[low + 1]);
  return a.map((one, i) => Math.round(one + (b[i] - one) * (at - low))) as Rgb;
}

const STEPS = 511;

/** A scale as packed pixels for an ImageData: index 0 is the lowest value, STEPS - 1 the highest. */
function packed(colours: string[]): Uint32Array {
  return Uint32Array.from({ length: STEPS }, (_, i) => {
    const [r, g, b] = along(colours, i / (STEPS - 1));
    return (255 << 24) | (b << 16) | (g << 8) | r; // little-endian, as on every machine with a browser
  });
}

const DIVERGING = { light: packed(table.diverging.light), dark: packed(table.diverging.dark) };
export const SEQUENTIAL = packed(table.sequential);

export function diverging(theme: Theme): Uint32Array {
  return DIVERGING[theme];
}

/** The pixel of a value between -limit and limit. */
export function pixel(scale: Uint32Array, value: number, limit: number): number {
  if (!(value === value)) return 0; // transparent
  const t = (value / limit + 1) / 2;
  return scale[t <= 0 ? 0 : t >= 1 ? STEPS - 1 : (t * (STEPS - 1) + 0.5) | 0];
}

/** A CSS gradient of a scale. */
export function gradient(colours: string[]): string {
  return `linear-gradient(to right, ${colours.join(", ")})`;
}

/** The colour of a difficulty: 1, 2, ... */
export function levelColour(theme: Theme, level: number): string {
  const colours = table.levels[theme];
  return colours[Math.max(0, level - 1) % colours.length];
}

/** Colours that are not data, for canvases. */
export function inks(theme: Theme): { text: string; muted: string; paper: string; accent: string } {
  return table.inks[theme];
}

/** The colour of a weight: for an answer, or against it. */
export function tone(theme: Theme, weight: number): string {
  return table.diverging[theme][weight < 0 ? 2 : 6];
}

/** Custom properties of a theme, for the style sheet. */
export function variables(theme: Theme): string {
  const ink = table.inks[theme], status = table.status[theme];
  const all = {
    ink: ink.text, muted: ink.muted, paper: ink.paper, accent: ink.accent,
    good: status.good, bad: status.bad, scale: gradient(table.diverging[theme]),
    heat: gradient(table.sequential), plus: table.diverging[theme][6], minus: table.diverging[theme][2],
  };
  return Object.entries(all).map(([name, colour]) => `--${name}: ${colour};`).join(" ") + ` color-scheme: ${theme};`;
}
