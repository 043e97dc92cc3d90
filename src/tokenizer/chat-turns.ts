import { THINK_MARKERS } from './channels/think.ts';
import { TemplateError } from './chat-template.ts';
import type { Tokenizer } from './tokenizer.ts';

/**
 * Tokens that end an answer, by their spelling: files often name only the end of a document as the end of text.
 * Source: llama.cpp, `special_eog_ids` of src/llama-vocab.cpp, but for the tokens around files and holes in code, which
 * a model of code may write within a text.
 */
const ENDS = [
  ...['<|im_end|>', '<|eot_id|>', '<|eom_id|>', '<end_of_turn>', '<|end|>', '<|endoftext|>', '<|end_of_text|>'],
  ...['<EOT>', '_<EOT>', '[EOT]', '[EOS]', '<eos>', '</s>', '<end_of_utterance>', '<｜end▁of▁sentence｜>'],
  ...['<|return|>', '<|call|>', '<|flush|>', '<|calls|>'],
];

/** Beside these, `<|end|>` ends a message of several in an answer: harmony, and Solar Open. */
const ANSWER_ENDS = [
  ['<|return|>', '<|call|>'],
  ['<|flush|>', '<|calls|>'],
];

/** Words that no template has of its own. */
const QUESTION = 'Vitrinequestion';
const ANSWER = 'Vitrineanswer';
const TAGS = new RegExp(`(?:\\s|${THINK_MARKERS.join('|')})+$`);

/** How a model's conversations are cut into turns: which tokens end an answer, and where one begins. */
export class ChatTurns {
  /** Ids that end an answer, whatever the configuration says. */
  readonly ends: readonly number[];
  /** Ids that end a message and not the answer, whatever the configuration says: harmony's `<|end|>`. */
  readonly messageEnds: readonly number[];
  readonly #tokenizer: Tokenizer;
  /** The last added token that the template writes before an answer, and the text behind it, without tags. */
  readonly #start: { readonly token: number | undefined; readonly header: string } | undefined;

  /** Runs the tokenizer's chat template on an example; without one, or where it fails, only spellings count. */
  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
    const added = (token: string): number[] => {
      const id = tokenizer.idOf(token);
      return id !== undefined && tokenizer.addedIds.has(id) ? [id] : [];
    };
    const hasMessages =
      tokenizer.channelFormat === 'harmony' ||
      ANSWER_ENDS.some((ends) => ends.every((token) => added(token).length > 0));
    this.messageEnds = hasMessages ? added('<|end|>') : [];
    const example = renderExample(tokenizer);
    this.#start = example && this.#startOf(example.start);
    // Gemma has `</s>` for struck-out text: it is special where it ends a text.
    const spelled = ENDS.flatMap(added).filter(
      (id) => tokenizer.tokenOf(id) !== '</s>' || tokenizer.specialIds.has(id),
    );
    const written = example ? this.#endOf(example.end) : [];
    this.ends = [...new Set([...spelled, ...written])].filter((id) => !this.messageEnds.includes(id));
  }

  /**
   * What the answer says so far, in a text that ends within an answer as the template begins one: its tags, and what
   * follows. Undefined where the text ends elsewhere.
   */
  answerSoFar(ids: readonly number[]): string | undefined {
    if (this.#start === undefined) return undefined;
    const { token, header } = this.#start;
    if (token === undefined) {
      const text = this.#tokenizer.decode(ids);
      const at = text.lastIndexOf(header);
      return at < 0 ? undefined : text.slice(at + header.length);
    }
    const at = ids.lastIndexOf(token);
    if (at < 0) return undefined;
    const text = this.#tokenizer.decode(ids.slice(at + 1)).trimStart();
    return text.startsWith(header) ? text.slice(header.length) : undefined;
  }

  /** Whether a text ends where an answer is to begin. */
  beginsAnswer(ids: readonly number[]): boolean {
    return this.answerSoFar(ids)?.replace(TAGS, '') === '';
  }

  #startOf(text: string): { token: number | undefined; header: string } | undefined {
    const before = text.replace(TAGS, '');
    const ids = this.#tokenizer.encode(before, { addSpecialTokens: false });
    const token = ids.findLast((id) => this.#tokenizer.addedIds.has(id));
    if (token === undefined) return before.trim() === '' ? undefined : { token, header: before.trim() };
    const spelling = this.#tokenizer.tokenOf(token)!;
    return { token, header: before.slice(before.lastIndexOf(spelling) + spelling.length).trim() };
  }

  #endOf(text: string): number[] {
    const [id] = this.#tokenizer.encode(text.trimStart(), { addSpecialTokens: false });
    const ends = this.#tokenizer.addedIds.has(id) && !THINK_MARKERS.includes(this.#tokenizer.tokenOf(id)!);
    return ends ? [id] : [];
  }
}

/** What the chat template writes between a question and its answer, and behind the answer. */
function renderExample(tokenizer: Tokenizer): { start: string; end: string } | undefined {
  if (!tokenizer.hasChatTemplate) return undefined;
  const question = { role: 'user', content: QUESTION };
  try {
    const asked = tokenizer.renderChat([question]).text;
    const begun = tokenizer.renderChat([question], { addGenerationPrompt: true }).text;
    const said = tokenizer.renderChat([question, { role: 'assistant', content: ANSWER }]).text;
    const start = begun.startsWith(asked) ? begun.slice(asked.length) : '';
    return {
      start: start.trim() === '' ? behind(begun, QUESTION) : start,
      end: behind(said, ANSWER),
    };
  } catch (error) {
    if (error instanceof TemplateError) return undefined;
    throw error;
  }
}

function behind(text: string, word: string): string {
  const at = text.lastIndexOf(word);
  return at < 0 ? '' : text.slice(at + word.length);
}
