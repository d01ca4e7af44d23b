// Builds the theatre and its host on plain pages into an ES module each, or (--tests) bundles the
// unit tests and runs them.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const common = {
  absWorkingDir: here,
  bundle: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  loader: { ".css": "text" },
  logLevel: "warning",
};

if (process.argv.includes("--tests")) {
  const out = mkdtempSync(join(here, "node_modules", ".tests-"));
  try {
    const entryPoints = readdirSync(join(here, "tests"))
      .filter((name) => name.endsWith(".test.ts"))
      .map((name) => join("tests", name));
    await build({ ...common, entryPoints, outdir: out, platform: "node", outExtension: { ".js": ".mjs" } });
    const built = readdirSync(out).map((name) => join(out, name));
    const run = spawnSync(process.execPath, ["--test", ...built], { stdio: "inherit" });
    process.exitCode = run.status ?? 1;
  } finally {
    rmSync(out, { recursive: true });
  }
} else {
  const asked = process.argv.find((word) => word.startsWith("--out="))?.slice(6);
  await build({
    ...common,
    entryPoints: { theatre: "src/index.ts", web: "src/hosts/web.ts" },
    outdir: asked ?? "../workbench/theatre/static",
    minify: true,
  });
}
