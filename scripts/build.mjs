// `npm run build`, and before a package is packed: compiles src/ into dist/ unless that is up to date.
import { ensureBuild, StepFailed } from './bootstrap.mjs';

try {
  ensureBuild();
} catch (error) {
  console.error(error instanceof StepFailed ? error.message : error);
  process.exitCode = 1;
}
