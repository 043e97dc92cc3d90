// `npm start [-- PROMPT and options]`: runs the set-up, then `vitrine generate`.
import { join } from 'node:path';
import { prepare, reportFailure, root } from './bootstrap.mjs';

const args = process.argv.slice(2);
const needsDefaultModel = !args.some((arg) => /^(--model|-m|--help|-h)(=|$)/.test(arg));

try {
  const { model } = await prepare({ model: needsDefaultModel });
  if (needsDefaultModel && model === undefined) {
    process.exitCode = 1;
  } else {
    const { main } = await import(join(root, 'dist', 'cli', 'main.js'));
    process.exitCode = await main(['generate', ...args]);
  }
} catch (error) {
  reportFailure(error);
}
