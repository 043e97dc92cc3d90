import { readFileSync } from 'node:fs';
import { getLlama } from 'node-llama-cpp';
import { serve } from './serve.mjs';

const manifest = new URL('../node_modules/node-llama-cpp/package.json', import.meta.url);
const { version } = JSON.parse(readFileSync(manifest, 'utf8'));

await serve(async ({ model: modelPath, threads, context: contextSize }) => {
  const llama = await getLlama({
    gpu: false,
    build: 'never',
    progressLogs: false,
    logLevel: 'error',
    maxThreads: threads,
  });
  const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
  const context = await model.createContext({ contextSize, batchSize: 512, threads });
  const sequence = context.getSequence();
  return {
    version: `node-llama-cpp ${version}, llama.cpp ${llama.llamaCppRelease.release}`,
    async run(prompt, count, onToken) {
      await sequence.clearHistory();
      let made = 0;
      for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
        onToken(token);
        if (++made === count) break;
      }
    },
  };
});
