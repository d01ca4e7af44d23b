// The instruments of the lens "memory": those that the scene is enough for, and those that the host draws.

/** Drawn from the scene at once. */
export const DRAWN = { curves: "Size, change, rank", written: "Share of each token" } as const;

/** Drawn by the host, as in `workbench/theatre/instruments.py`; with the figure's name in `workbench.figures`. */
export const ASKED = {
  shares: ["Windows and passes", "share_matrix"],
  tokens: ["Tokens by pass", "token_contributions"],
  spectra: ["Directions", "singular_values"],
  change: ["Against a replay", "change_against_replay"],
  retention: ["What stays", "retention_by_age"],
  readout: ["What comes back", "retrieval"],
  lens: ["All examples", "lens_over_passes"],
  convergence: ["Does it settle", "convergence_over_passes"],
} as const;

type DrawnName = keyof typeof DRAWN;
export type AskedName = keyof typeof ASKED;
export type Name = DrawnName | AskedName;

export const NAMES = [...Object.keys(DRAWN), ...Object.keys(ASKED)] as Name[];

export function isDrawn(name: Name): name is DrawnName {
  return name in DRAWN;
}

export function titleOf(name: Name): string {
  return isDrawn(name) ? DRAWN[name] : ASKED[name][0];
}

/** What stands in place of a figure that nobody can draw here. */
export function elsewhere(name: AskedName, live: boolean): string {
  const where = `in a notebook, workbench.figures.${ASKED[name][1]} draws it from a trace; so does Explore of \`workbench serve\`.`;
  return `${live ? "This page has no plotly.js for this figure" : "This figure takes the model, which this page does not have"}: ${where}`;
}
