import { readFileSync } from 'node:fs';

const FOLDER = new URL('../fixtures/interp/', import.meta.url);

/** The tensors of a safetensors file by name: f32 and i32, read without our own reader. */
export function readTensors(name: string): Readonly<Record<string, Float32Array | Int32Array>> {
  const bytes = readFileSync(new URL(name, FOLDER));
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >;
  const { __metadata__: _, ...tensors } = header;
  return Object.fromEntries(
    Object.entries(tensors).map(
      ([
        key,
        {
          dtype,
          data_offsets: [from, to],
        },
      ]) => {
        const data = bytes.buffer.slice(bytes.byteOffset + 8 + length + from, bytes.byteOffset + 8 + length + to);
        return [key, dtype === 'I32' ? new Int32Array(data) : new Float32Array(data)];
      },
    ),
  );
}

interface PairSettings {
  clean: string;
  corrupt: string;
  answer: string;
  wrong: string;
  clean_difference: number;
  corrupt_difference: number;
  receiver: [layer: number, head: number];
  final_divisor: number;
  gradient_layers: number[];
  atp_correlation: Record<string, number>;
}
const settings = JSON.parse(readFileSync(new URL('pairs/store.json', FOLDER), 'utf8')) as PairSettings;
const tensors = readTensors('pairs/store.safetensors');

/** What PyTorch computes in f32 with SmolLM2 on a pair of prompts. */
export const pair = {
  clean: settings.clean,
  corrupt: settings.corrupt,
  answer: settings.answer,
  wrong: settings.wrong,
  cleanDifference: settings.clean_difference,
  corruptDifference: settings.corrupt_difference,
  receiver: settings.receiver,
  divisor: settings.final_divisor,
  gradientLayers: settings.gradient_layers,
  /** Of attribution patching with patching, by hook. */
  correlation: settings.atp_correlation,
  floats: (name: string): Float32Array => tensors[name] as Float32Array,
  ints: (name: string): Int32Array => tensors[name] as Int32Array,
};
