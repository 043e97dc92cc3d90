// What test/engine/debugger.test.ts debugs: one run of a small model, on the backend and the folder that it is given.
import { load } from 'vitrine';

const [folder, backend] = process.argv.slice(2);
const model = await load(folder, { backend: backend === 'reference' ? backend : 'tensorflow' });
const run = model.run([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], { capture: ['hook_embed'] });
debugger; // eslint-disable-line no-debugger
run.dispose();
model.dispose();
