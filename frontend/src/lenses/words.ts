// Words and numbers of the lenses. Pure.

import type { Progress } from "../asks";
import { plural } from "../words";

/** "+3.21", with a proper minus; a dash for what is not measured. */
export function nats(value: number | null | undefined, digits = 2): string {
  if (value === null || value === undefined || !(value === value)) return "–";
  const text = value.toFixed(digits);
  return Number(text) === 0 ? "0" : value > 0 ? `+${text}` : text.replace("-", "−");
}

/** "12 of 99 readings, 30 a second, 3 s left". */
export function progressWords({ done, total, unit = "", rate, seconds_left }: Progress): string {
  if (!total) return `${unit || "Asking"} …`;
  const parts = [`${done} of about ${total} ${unit}`.trimEnd()];
  if (rate) parts.push(`${rate < 10 ? rate.toPrecision(2) : rate.toFixed(0)} a second`);
  if (seconds_left !== undefined && seconds_left !== null) parts.push(`about ${plural(Math.max(1, Math.round(seconds_left)), "second")} left`);
  return parts.join(", ");
}

export const NO_HOST = "This needs the model, which this file does not hold: open the same example in Explore or in a notebook.";
export const NO_MODEL = "This is a recorded trace. To change its memory, show the checkpoint that it was recorded from.";
