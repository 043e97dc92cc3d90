import { join } from 'node:path';
import { expect, it } from 'vitest';
import { load } from '../../../src/engine/load/load.ts';
import { openSafetensors } from '../../../src/loader/safetensors/open-safetensors.ts';
import type { DecoderConfig } from '../../../src/model/config/decoder-config.ts';
import { modelFolder } from '../../support/fixtures.ts';
import { taken } from '../../support/named-weights.ts';

/** The number of a stored tensor at an index. */
type Stored = (tensor: string, ...index: number[]) => number;
/** The number of a weight at an index, made of stored numbers. */
type Formula = (stored: Stored, config: DecoderConfig) => (...index: number[]) => number;

/** Of a layer `[out, in]`, the rows from `first` on: a matrix `[in, out]`. */
const matrix =
  (tensor: string, first = 0): Formula =>
  (stored) =>
  (i, o) =>
    stored(tensor, first + o, i);
/** Numbers in the place where they are. */
const same =
  (tensor: string): Formula =>
  (stored) =>
  (...index) =>
    stored(tensor, ...index);
/** Of a layer `[heads * d, in]`: `[heads, in, d]`. */
const heads =
  (tensor: string): Formula =>
  (stored, { headDim: d }) =>
  (h, i, j) =>
    stored(tensor, h * d + j, i);
/** Of an output projection `[D, heads * d]`: `[heads, d, D]`. */
const output =
  (tensor: string, width: (config: DecoderConfig) => number = ({ headDim }) => headDim): Formula =>
  (stored, config) =>
  (h, j, i) =>
    stored(tensor, i, h * width(config) + j);

/** E2M1, by its bits: sign, two of the exponent, one of the mantissa (OCP Microscaling formats, version 1.0). */
const fp4 = (code: number): number => {
  const [sign, exponent, mantissa] = [code >> 3, (code >> 1) & 3, code & 1];
  return (sign ? -1 : 1) * (exponent === 0 ? mantissa / 2 : 2 ** (exponent - 1) * (1 + mantissa / 2));
};
/** An MXFP4 stack `[E, rows, columns]`. */
const mxfp4 = (stored: Stored, tensor: string, expert: number, row: number, column: number): number => {
  const byte = stored(`${tensor}_blocks`, expert, row, column >> 5, (column & 31) >> 1);
  return fp4((byte >> (4 * (column & 1))) & 15) * 2 ** (stored(`${tensor}_scales`, expert, row, column >> 5) - 127);
};
/** E4M3 with a factor for each 128 x 128 block. */
const fp8 = (stored: Stored, tensor: string, row: number, column: number): number =>
  Math.fround(stored(tensor, row, column) * stored(`${tensor}_scale_inv`, row >> 7, column >> 7));

const LAYER = 'model.layers.1';
const ATTN = `${LAYER}.self_attn`;
const MLP = `${LAYER}.mlp`;

/** Where number `j` of a rotary part of `width` numbers is stored, whose neighbours are rotated together: halves here, pairs there. */
const ofPairs = (j: number, width: number): number => (j < width / 2 ? 2 * j : 2 * j - width + 1);

const CASES: Readonly<Record<string, Readonly<Record<string, Formula>>>> = {
  llama_untied: {
    W_E: same('model.embed_tokens.weight'),
    W_U: matrix('lm_head.weight'),
    'ln_final.w': same('model.norm.weight'),
    'blocks.1.ln1.w': same(`${LAYER}.input_layernorm.weight`),
    'blocks.1.attn.W_Q': heads(`${ATTN}.q_proj.weight`),
    'blocks.1.attn.W_K': heads(`${ATTN}.k_proj.weight`),
    'blocks.1.attn.W_V': heads(`${ATTN}.v_proj.weight`),
    'blocks.1.attn.W_O': output(`${ATTN}.o_proj.weight`),
    'blocks.1.mlp.W_gate': matrix(`${MLP}.gate_proj.weight`),
    'blocks.1.mlp.W_in': matrix(`${MLP}.up_proj.weight`),
    'blocks.1.mlp.W_out': matrix(`${MLP}.down_proj.weight`),
  },
  gpt2: {
    W_pos: same('wpe.weight'),
    W_U: (stored) => (i, v) => stored('wte.weight', v, i),
    'blocks.1.ln2.b': same('h.1.ln_2.bias'),
    'blocks.1.attn.W_K':
      (stored, { dim: D, headDim: d }) =>
      (h, i, j) =>
        stored('h.1.attn.c_attn.weight', i, D + h * d + j),
    'blocks.1.attn.b_V':
      (stored, { dim: D, headDim: d }) =>
      (h, j) =>
        stored('h.1.attn.c_attn.bias', 2 * D + h * d + j),
    'blocks.1.attn.W_O':
      (stored, { headDim: d }) =>
      (h, j, i) =>
        stored('h.1.attn.c_proj.weight', h * d + j, i),
    'blocks.1.mlp.W_in': same('h.1.mlp.c_fc.weight'),
    'blocks.1.mlp.b_in': same('h.1.mlp.c_fc.bias'),
  },
  gpt_neox: {
    'blocks.1.attn.W_Q':
      (stored, { headDim: d }) =>
      (h, i, j) =>
        stored('gpt_neox.layers.1.attention.query_key_value.weight', h * 3 * d + j, i),
    'blocks.1.attn.b_K':
      (stored, { headDim: d }) =>
      (h, j) =>
        stored('gpt_neox.layers.1.attention.query_key_value.bias', (h * 3 + 1) * d + j),
  },
  phi3: {
    'blocks.1.attn.W_V':
      (stored, { nHeads: H, nKvHeads: K, headDim: d }) =>
      (h, i, j) =>
        stored(`${ATTN}.qkv_proj.weight`, (H + K + h) * d + j, i),
    'blocks.1.mlp.W_in':
      (stored, { mlpDim: F }) =>
      (i, f) =>
        stored(`${MLP}.gate_up_proj.weight`, F + f, i),
  },
  gemma2: {
    'blocks.1.ln1_post.w': (stored) => (i) => Math.fround(1 + stored(`${LAYER}.post_attention_layernorm.weight`, i)),
    'blocks.1.ln2.w': (stored) => (i) => Math.fround(1 + stored(`${LAYER}.pre_feedforward_layernorm.weight`, i)),
  },
  olmo2: {
    'blocks.1.attn.k_norm.w': same(`${ATTN}.k_norm.weight`),
    'blocks.1.ln2_post.w': same(`${LAYER}.post_feedforward_layernorm.weight`),
  },
  gpt_oss: {
    'blocks.1.attn.sinks': same(`${ATTN}.sinks`),
    'blocks.1.mlp.W_router': matrix(`${MLP}.router.weight`),
    'blocks.1.mlp.b_router': same(`${MLP}.router.bias`),
    'blocks.1.mlp.experts.3.W_gate': (stored) => (i, f) => stored(`${MLP}.experts.gate_up_proj`, 3, i, 2 * f),
    'blocks.1.mlp.experts.3.b_in': (stored) => (f) => stored(`${MLP}.experts.gate_up_proj_bias`, 3, 2 * f + 1),
    'blocks.1.mlp.experts.3.W_out': (stored) => (f, i) => stored(`${MLP}.experts.down_proj`, 3, f, i),
  },
  gpt_oss_mxfp4: {
    'blocks.1.mlp.experts.2.W_gate': (stored) => (i, f) => mxfp4(stored, `${MLP}.experts.gate_up_proj`, 2, 2 * f, i),
    'blocks.1.mlp.experts.2.W_in': (stored) => (i, f) => mxfp4(stored, `${MLP}.experts.gate_up_proj`, 2, 2 * f + 1, i),
    'blocks.1.mlp.experts.2.W_out': (stored) => (f, i) => mxfp4(stored, `${MLP}.experts.down_proj`, 2, i, f),
  },
  deepseek_v3: {
    'blocks.1.attn.W_DQ': matrix(`${ATTN}.q_a_proj.weight`),
    'blocks.1.attn.W_UQ':
      (stored, { latent }) =>
      (h, a, j) =>
        stored(`${ATTN}.q_b_proj.weight`, h * (latent!.nopeDim + latent!.ropeDim) + j, a),
    'blocks.1.attn.W_QR': (stored, { latent }) => {
      const { nopeDim: dn, ropeDim: dr } = latent!;
      return (h, a, j) => stored(`${ATTN}.q_b_proj.weight`, h * (dn + dr) + dn + ofPairs(j, dr), a);
    },
    'blocks.1.attn.W_DKV': matrix(`${ATTN}.kv_a_proj_with_mqa.weight`),
    'blocks.1.attn.W_KR':
      (stored, { latent }) =>
      (i, j) =>
        stored(`${ATTN}.kv_a_proj_with_mqa.weight`, latent!.rank + ofPairs(j, latent!.ropeDim), i),
    'blocks.1.attn.kv_latent_norm.w': same(`${ATTN}.kv_a_layernorm.weight`),
    'blocks.1.attn.W_UK':
      (stored, { latent }) =>
      (h, a, j) =>
        stored(`${ATTN}.kv_b_proj.weight`, h * (latent!.nopeDim + latent!.valueDim) + j, a),
    'blocks.1.attn.W_UV': (stored, { latent }) => {
      const { nopeDim: dn, valueDim: dv } = latent!;
      return (h, a, j) => stored(`${ATTN}.kv_b_proj.weight`, h * (dn + dv) + dn + j, a);
    },
    'blocks.1.attn.W_O': output(`${ATTN}.o_proj.weight`, ({ latent }) => latent!.valueDim),
    'blocks.1.mlp.b_choice': same(`${MLP}.gate.e_score_correction_bias`),
    'blocks.1.mlp.experts.1.W_in': matrix(`${MLP}.experts.1.up_proj.weight`),
    'blocks.1.mlp.shared.W_out': matrix(`${MLP}.shared_experts.down_proj.weight`),
  },
  deepseek_v3_fp8: {
    'blocks.1.attn.W_DKV': (stored) => (i, a) => fp8(stored, `${ATTN}.kv_a_proj_with_mqa.weight`, a, i),
    'blocks.1.attn.W_UV': (stored, { latent }) => {
      const { nopeDim: dn, valueDim: dv } = latent!;
      return (h, a, j) => fp8(stored, `${ATTN}.kv_b_proj.weight`, h * (dn + dv) + dn + j, a);
    },
    'blocks.1.mlp.experts.1.W_gate': (stored) => (i, f) => fp8(stored, `${MLP}.experts.1.gate_proj.weight`, f, i),
    'blocks.1.mlp.experts.1.W_in': (stored) => (i, f) => fp8(stored, `${MLP}.experts.1.up_proj.weight`, f, i),
  },
};

/** The stored tensors of a model. */
async function readStored(name: string): Promise<Stored> {
  const file = await openSafetensors(join(modelFolder(name), 'model.safetensors'));
  const tensors = new Map<string, { shape: readonly number[]; values: ArrayLike<number> }>();
  for (const [tensor, { shape, dtype }] of file.tensors) {
    if (dtype === 'BOOL') continue;
    const read = await file.read(tensor);
    tensors.set(tensor, { shape, values: dtype === 'U8' ? (read.data as Uint8Array) : read.toFloat32() });
  }
  await file.close();
  return (tensor, ...index) => {
    const { shape, values } = tensors.get(tensor) ?? expect.fail(`the file has no ${tensor}`);
    return values[index.reduce((at, i, axis) => at * shape[axis] + i, 0)];
  };
}

it.each(Object.keys(CASES))('weights of %s by name are the numbers of its file', async (name) => {
  const stored = await readStored(name);
  for (const mla of name.startsWith('deepseek') ? (['absorbed', 'naive'] as const) : ([undefined] as const)) {
    using model = await load(modelFolder(name), { compute: 'f32', mla });
    for (const [weight, formula] of Object.entries(CASES[name])) {
      const element = formula(stored, model.config);
      const { shape, values } = taken(model.weights.get(weight));
      const index = shape.map(() => 0);
      const wrong = values.findIndex((x, at) => {
        let left = at;
        for (let axis = shape.length - 1; axis >= 0; axis--) {
          index[axis] = left % shape[axis];
          left = Math.floor(left / shape[axis]);
        }
        return !Object.is(x, element(...index));
      });
      expect(wrong < 0 ? 'none' : `${weight} at ${index.join()}`, 'a number that differs').toBe('none');
    }
  }
});
