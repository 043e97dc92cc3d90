import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Collects what nobody holds and lets its finalizers run: several times, for what is only then held by nobody, or until `isDone`. */
export async function collectGarbage(isDone: () => boolean = () => false): Promise<void> {
  for (let round = 0; round < 5 && !isDone(); round++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    collect();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
