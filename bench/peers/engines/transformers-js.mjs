import { readFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { AutoModelForCausalLM, env, Tensor } from '@huggingface/transformers';
import { serve } from './serve.mjs';

const versionOf = (name) =>
  JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url), 'utf8')).version;

await serve(async ({ model: folder, dtype, threads }) => {
  env.allowRemoteModels = false;
  env.localModelPath = dirname(folder);
  const model = await AutoModelForCausalLM.from_pretrained(basename(folder), {
    dtype,
    device: 'cpu',
    session_options: { intraOpNumThreads: threads },
  });
  return {
    version: `transformers.js ${versionOf('@huggingface/transformers')}, ONNX Runtime ${versionOf('onnxruntime-node')}`,
    async run(prompt, count, onToken) {
      const input_ids = new Tensor('int64', BigInt64Array.from(prompt, BigInt), [1, prompt.length]);
      const attention_mask = new Tensor('int64', new BigInt64Array(prompt.length).fill(1n), [1, prompt.length]);
      let isPrompt = true;
      const put = ([[token]]) => {
        if (!isPrompt) onToken(Number(token));
        isPrompt = false;
      };
      const streamer = { put, end: () => undefined };
      await model.generate({ input_ids, attention_mask, max_new_tokens: count, do_sample: false, streamer });
    },
  };
});
