import type { Json } from '../../json.ts';
import type { Tokenizer } from '../../tokenizer/tokenizer.ts';

/** The files that name tokens which end a text. */
export interface EndSources {
  readonly config: Json;
  readonly generationConfig?: Json | undefined;
  readonly tokenizer?: Tokenizer | undefined;
}

/**
 * The ids that end a text: all that generation_config.json, config.json and the tokenizer's files name, and the tokens
 * that end an answer by their spelling or by the chat template, since each of these is often the only one to know.
 * config.json's id is passed over where generation_config.json names others and it is no token of its own in the
 * tokenizer: it is then the default of the architecture, and a piece of ordinary text.
 */
export function endIds({ config, generationConfig = {}, tokenizer }: EndSources): number[] {
  const named = eosIds(generationConfig.eos_token_id);
  const configured = eosIds(config.eos_token_id);
  if (tokenizer === undefined) return [...new Set([...named, ...configured])];
  const { addedIds, eosId, turns } = tokenizer;
  const known = named.length === 0 ? configured : configured.filter((id) => addedIds.has(id));
  const all = new Set([...named, ...known, ...(eosId === undefined ? [] : [eosId]), ...turns.ends]);
  for (const id of turns.messageEnds) all.delete(id);
  return [...all];
}

/** `eos_token_id` is one id, a list of them, or absent. */
function eosIds(value: unknown): number[] {
  return [value].flat().filter((id) => typeof id === 'number' && Number.isInteger(id)) as number[];
}
