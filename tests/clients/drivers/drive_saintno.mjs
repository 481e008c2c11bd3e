// @saintno/comfyui-sdk 0.3.

import { CallWrapper, ComfyApi, PromptBuilder } from "@saintno/comfyui-sdk";
import { digest, job, picture, refusal, report, seen, until } from "./job.mjs";

const api = await new ComfyApi(job.url, "saintno").init().waitForReady();
const steps = [];
let run;
const builder = new PromptBuilder(job.picture, [], ["images"]).setOutputNode("images", "7");
const outputs = await new CallWrapper(api, builder)
  .onStart((id) => { run = id; })
  .onProgress(({ value, max }) => steps.push([value, max]))
  .run();
const blob = await api.getImage(outputs.images.images[0]);
const entry = await until(() => api.getHistory(run));
const slow = await api.queuePrompt(null, job.slow);
await until(async () => (await api.getQueue()).queue_running.length);
await api.interrupt();
const upload = await api.uploadImage(picture, "saintno.png", { override: true });
const mask = await api.uploadMask(picture, upload.info);
report({
  submit: run,
  progress: steps,
  image: await digest(blob),
  history: seen(entry),
  interrupt: slow.prompt_id,
  upload: upload.info.filename,
  mask: mask.info.filename,
  invalid: await refusal(api.queuePrompt(null, job.invalid)),
});
