// D model width, H heads, rq query rank, r latent rank, dn + dr numbers of a query head of which dr are rotated, dv value width.
import { under } from '../../tensor/hook-point.ts';
import type { Linear } from '../../tensor/ops/linear.ts';
import type { Parameter } from '../../tensor/parameter.ts';
import type { DecoderConfig, LatentConfig } from '../config/decoder-config.ts';
import { layerWeights, outputWeights, type WeightDeclaration, wholeWeight } from '../weights/weight-point.ts';

/** What makes queries and latents: see `parts/latent-attention.ts`. */
interface LatentInputs {
  readonly config: DecoderConfig & { readonly latent: LatentConfig };
  readonly qA: Linear | undefined;
  readonly qNorm: Parameter | undefined;
  readonly q: Linear;
  readonly kvA: Linear;
  readonly kvNorm: Parameter;
}

/**
 * The weights of latent attention, by the names of the paper (DeepSeek-V2, arXiv 2405.04434, section 2.1): the same for both
 * of its forms.
 *
 * @param up What expands the latent: keys and values apart, or those of each head one after the other.
 */
export function latentWeights(
  inputs: LatentInputs,
  up: Linear | { readonly key: Linear; readonly value: Linear },
  output: Linear,
): WeightDeclaration[] {
  const { nHeads: H, latent } = inputs.config;
  const { rank: r, nopeDim: dn, ropeDim: dr, valueDim: dv } = latent;
  const key = { name: 'UK', axes: 'H r dn', heads: H, meaning: 'makes keys of the latent, but for their rotary part' };
  const value = { name: 'UV', axes: 'H r dv', heads: H, meaning: 'makes values of the latent' };
  return under('attn', [
    ...queryWeights(inputs),
    ...layerWeights(inputs.kvA, [
      { name: 'DKV', axes: 'D r', outputs: [0, r], meaning: 'makes the latent of keys and values' },
      {
        name: 'KR',
        axes: 'D dr',
        outputs: [r, dr],
        meaning: 'makes the rotary part of the key, which all heads share',
      },
    ]),
    wholeWeight('kv_latent_norm.w', inputs.kvNorm, { axes: 'r', meaning: 'gain of the norm of that latent' }),
    ...('weight' in up
      ? layerWeights(up, [
          { ...key, outputs: [0, dn] },
          { ...value, outputs: [dn, dv] },
        ])
      : [...layerWeights(up.key, [key]), ...layerWeights(up.value, [value])]),
    { name: 'W_K', absence: 'keys are made of a latent: W_DKV and W_UK, and of W_KR' },
    { name: 'W_V', absence: 'values are made of a latent: W_DKV and W_UV' },
    ...outputWeights(output, H, 'dv'),
  ]);
}

function queryWeights({ config, qA, qNorm, q }: LatentInputs): WeightDeclaration[] {
  const { nHeads: H, latent } = config;
  const { nopeDim: dn, ropeDim: dr } = latent;
  if (qA === undefined || qNorm === undefined)
    return [
      ...layerWeights(q, [{ name: 'Q', axes: 'H D dn+dr', heads: H, meaning: 'makes queries, rotary part last' }]),
      ...['W_DQ', 'q_latent_norm.w', 'W_UQ', 'W_QR'].map((name) => ({
        name,
        absence: 'queries are not made of a latent: W_Q',
      })),
    ];
  return [
    ...layerWeights(qA, [{ name: 'DQ', axes: 'D rq', meaning: 'makes the latent of queries' }]),
    wholeWeight('q_latent_norm.w', qNorm, { axes: 'rq', meaning: 'gain of the norm of that latent' }),
    ...layerWeights(q, [
      { name: 'UQ', axes: 'H rq dn', heads: H, outputs: [0, dn], meaning: 'makes queries, but for their rotary part' },
      { name: 'QR', axes: 'H rq dr', heads: H, outputs: [dn, dr], meaning: 'makes the rotary part of queries' },
    ]),
    { name: 'W_Q', absence: 'queries are made of a latent: W_DQ, then W_UQ and W_QR' },
  ];
}
