// `npm run build`, also run before `npm pack`: compiles src/ into dist/ unless dist/ is up to date.
import { ensureBuild, reportFailure } from './bootstrap.mjs';

try {
  ensureBuild();
} catch (error) {
  reportFailure(error);
}
