// @stable-canvas/comfyui-client 1.5: it puts `?clientId=` behind everything; it has
// done when the last node has, which is before the prompt is over; it sends no files.

import { Client } from "@stable-canvas/comfyui-client";
import WebSocket from "ws";
import { address, digest, job, refusal, report, seen, until } from "./job.mjs";

const client = new Client({ api_host: address, clientId: "stable-canvas", WebSocket, fetch });
client.connect();
const steps = [];
const done = await client.enqueue(job.picture, {
  disable_random_seed: true,
  progress: ({ value, max }) => steps.push([value, max]),
});
const image = done.images.find(({ type }) => type === "url"); // the others are previews
const bytes = await (await fetch(image.data)).blob();
const entry = await until(async () => {
  const { History } = await client.getHistory(5);
  return History.find((item) => item.prompt[1] === done.prompt_id);
});
const slow = await client._enqueue_prompt(job.slow);
await until(async () => (await client.getPromptStatus(slow.prompt_id)).running);
await client.interrupt();
report({
  submit: done.prompt_id,
  progress: steps,
  image: await digest(bytes),
  history: seen(entry),
  interrupt: slow.prompt_id,
  invalid: await refusal(client.enqueue(job.invalid, { disable_random_seed: true })),
});
