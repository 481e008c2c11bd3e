// What a driver is asked to do, and how it says what came of it; see job.py.

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

export const job = JSON.parse(readFileSync(0, "utf8"));
export const address = job.url.replace("http://", "");
export const picture = readFileSync(job.image);

export function report(steps) {
  writeFileSync(job.report, JSON.stringify(steps));
  process.exit(0);
}

export async function digest(blob) {
  const bytes = blob instanceof ArrayBuffer ? blob : await blob.arrayBuffer();
  return { sha256: createHash("sha256").update(Buffer.from(bytes)).digest("hex") };
}

export function seen(entry) {
  const images = Object.values(entry.outputs).flatMap((output) => output.images ?? []);
  return { status: entry.status.status_str, images: images.map((image) => image.filename) };
}

export async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    return error instanceof Response ? error.text() : String(error?.message ?? error);
  }
  return "";
}

export async function until(answer) {
  const end = Date.now() + 60000;
  while (Date.now() < end) {
    const found = await answer();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("nothing came");
}
