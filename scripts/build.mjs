// `npm run build`, and before a package is packed: compiles src/ into dist/ unless that is up to date.
import { ensureBuild, fail } from './bootstrap.mjs';

try {
  ensureBuild();
} catch (error) {
  fail(error);
}
