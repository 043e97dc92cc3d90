import { readFileSync } from 'node:fs';
import { load } from '../../../dist/index.js';
import { serve } from './serve.mjs';

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));

await serve(async ({ model: source, weights, threads }) => {
  const model = await load(source, { weights, threads });
  return {
    version: `vitrine ${version}, ${model.backend.description}`,
    async run(prompt, count, onToken) {
      const options = { temperature: 0, ignoreEos: true, maxTokens: count };
      for await (const { token } of model.generate(prompt, options)) onToken(token);
    },
  };
});
