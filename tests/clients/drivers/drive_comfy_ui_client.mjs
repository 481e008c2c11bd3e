// comfy-ui-client 0.1: it reads the empty answer to an interrupt as JSON, which fails.

import { ComfyUIClient } from "comfy-ui-client";
import { address, digest, job, picture, refusal, report, seen, until } from "./job.mjs";

const client = new ComfyUIClient(address, "comfy-ui-client");
await client.connect();
const outputs = await client.getImages(job.picture);
const [{ blob }] = Object.values(outputs).flat();
const history = await client.getHistory();
const run = Object.keys(history).at(-1);
const slow = await client.queuePrompt(job.slow);
await until(async () => (await client.getQueue()).queue_running.length);
await refusal(client.interrupt());
const upload = await client.uploadImage(picture, "comfy-ui-client.png", true);
report({
  submit: run,
  image: await digest(blob),
  history: seen(history[run]),
  interrupt: slow.prompt_id,
  upload: upload.name,
  invalid: await refusal(client.queuePrompt(job.invalid)),
});
