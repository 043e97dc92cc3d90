// Written by test/model/weights/weights-page.test.ts from the declarations of all parts: npx vitest run test/model/weights/weights-page.test.ts -u

/** A weight outside of blocks that some model may have. */
export type GlobalWeight = 'W_E' | 'W_pos' | 'ln_final.w' | 'ln_final.b' | 'W_U' | 'b_U';

/** A weight of a block that some model may have, by its name under `blocks.N`. */
export type BlockWeight =
  | 'ln1.w'
  | 'ln1.b'
  | 'attn.W_Q'
  | 'attn.b_Q'
  | 'attn.W_K'
  | 'attn.b_K'
  | 'attn.W_V'
  | 'attn.b_V'
  | 'attn.q_norm.w'
  | 'attn.k_norm.w'
  | 'attn.sinks'
  | 'attn.W_O'
  | 'attn.b_O'
  | 'ln2.w'
  | 'ln2.b'
  | 'mlp.W_gate'
  | 'mlp.b_gate'
  | 'mlp.W_in'
  | 'mlp.b_in'
  | 'mlp.W_out'
  | 'mlp.b_out'
  | 'attn.q_norm.b'
  | 'attn.k_norm.b'
  | 'ln1_post.w'
  | 'ln1_post.b'
  | 'ln2_post.w'
  | 'ln2_post.b'
  | 'mlp.W_router'
  | 'mlp.b_router'
  | 'mlp.b_choice'
  | `mlp.experts.${number}.W_gate`
  | `mlp.experts.${number}.b_gate`
  | `mlp.experts.${number}.W_in`
  | `mlp.experts.${number}.b_in`
  | `mlp.experts.${number}.W_out`
  | `mlp.experts.${number}.b_out`
  | 'mlp.shared.W_gate'
  | 'mlp.shared.W_in'
  | 'mlp.shared.W_out'
  | 'attn.W_DQ'
  | 'attn.q_latent_norm.w'
  | 'attn.W_UQ'
  | 'attn.W_QR'
  | 'attn.W_DKV'
  | 'attn.b_DKV'
  | 'attn.W_KR'
  | 'attn.b_KR'
  | 'attn.kv_latent_norm.w'
  | 'attn.W_UK'
  | 'attn.b_UK'
  | 'attn.W_UV'
  | 'attn.b_UV'
  | 'mlp.shared.b_gate'
  | 'mlp.shared.b_in'
  | 'mlp.shared.b_out'
  | 'attn.b_DQ'
  | 'attn.b_UQ'
  | 'attn.b_QR';
