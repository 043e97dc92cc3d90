import { TF, type Addon } from './addon.ts';

const ALIGNMENT = 64;
/** malloc gives addresses that are multiples of 16. */
const STEP = 16;

/**
 * Host memory that TensorFlow shares instead of copying: it must start on a 64-byte border, which JavaScript cannot see.
 * So room is left in front, and the right start is found by trying whether a write shows in a tensor made over it.
 */
export function allocateShared(addon: Addon, bytes: number): { bytes: Uint8Array<ArrayBuffer>; shared: boolean } {
  const buffer = new ArrayBuffer(bytes + ALIGNMENT);
  for (let offset = 0; offset < ALIGNMENT; offset += STEP) {
    const probe = new Uint8Array(buffer, offset, 1);
    const id = addon.createTensor([1], TF.bool, probe);
    probe[0] = 1;
    const [seen] = addon.tensorDataSync(id) as Uint8Array;
    addon.deleteTensor(id);
    probe[0] = 0;
    if (seen === 1) return { bytes: new Uint8Array(buffer, offset, bytes), shared: true };
  }
  return { bytes: new Uint8Array(buffer, 0, bytes), shared: false };
}
