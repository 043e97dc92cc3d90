import { THINK_MARKERS } from './channels/think.ts';
import { type ChatMessage, TemplateError } from './chat-template.ts';

/**
 * Tokens that end an answer, by their spelling: the files of a model often name only the token that ends a document.
 *
 * Source: llama.cpp, `special_eog_ids` in src/llama-vocab.cpp, without the tokens for files and for filling in the middle,
 * which a model of code may generate within a text.
 */
const ENDS = [
  ...['<|im_end|>', '<|eot_id|>', '<|eom_id|>', '<end_of_turn>', '<|end|>', '<|endoftext|>', '<|end_of_text|>'],
  ...['<EOT>', '_<EOT>', '[EOT]', '[EOS]', '<eos>', '</s>', '<end_of_utterance>', '<｜end▁of▁sentence｜>'],
  ...['<|return|>', '<|call|>', '<|flush|>', '<|calls|>'],
];

/** In a vocabulary that has both tokens of a row, `<|end|>` ends a message but not the answer: harmony, Solar Open. */
const ANSWER_ENDS = [
  ['<|return|>', '<|call|>'],
  ['<|flush|>', '<|calls|>'],
];

/** Contents of the example conversation: words that no template contains. */
const QUESTION = 'Vitrinequestion';
const ANSWER = 'Vitrineanswer';
const TAGS = new RegExp(`(?:\\s|${THINK_MARKERS.join('|')})+$`);

/** The parts of a tokenizer that `ChatTurns` needs; see `Tokenizer`. */
export interface ChatTokenizer {
  readonly addedIds: ReadonlySet<number>;
  readonly specialIds: ReadonlySet<number>;
  readonly channelFormat: string | undefined;
  readonly hasChatTemplate: boolean;
  idOf(token: string): number | undefined;
  tokenOf(id: number): string | undefined;
  encode(text: string, options: { readonly addSpecialTokens: boolean }): number[];
  decode(ids: readonly number[]): string;
  renderChat(
    messages: readonly ChatMessage[],
    variables?: { readonly addGenerationPrompt: boolean },
  ): { readonly text: string };
}

/** Which tokens end an answer of a chat model, and where in a text an answer begins. */
export class ChatTurns {
  /** Ids of tokens that end an answer, in addition to those that the model's configuration names. */
  readonly ends: readonly number[];
  /** Ids of tokens that end a message but not the answer, even if the configuration names them: `<|end|>` in harmony. */
  readonly messageEnds: readonly number[];
  readonly #tokenizer: ChatTokenizer;
  /** The last added token that the template writes before an answer, and the text after it, without reasoning tags. */
  readonly #start: { readonly token: number | undefined; readonly header: string } | undefined;

  /** Renders an example with the chat template. If there is none or it fails, the ends are found by spelling alone. */
  constructor(tokenizer: ChatTokenizer) {
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
    // In Gemma, `</s>` is the HTML tag for struck-out text and not special.
    const spelled = ENDS.flatMap(added).filter(
      (id) => tokenizer.tokenOf(id) !== '</s>' || tokenizer.specialIds.has(id),
    );
    const written = example ? this.#endOf(example.end) : [];
    this.ends = [...new Set([...spelled, ...written])].filter((id) => !this.messageEnds.includes(id));
  }

  /**
   * The beginning of the answer that a text ends with, from its reasoning tags on; undefined when the text ends elsewhere
   * in a conversation.
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

  /** Whether an answer begins at the end of a text. */
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

/** The text that the chat template writes between a question and its answer, and the text after the answer. */
function renderExample(tokenizer: ChatTokenizer): { start: string; end: string } | undefined {
  if (!tokenizer.hasChatTemplate) return undefined;
  const question = { role: 'user', content: QUESTION };
  try {
    const asked = tokenizer.renderChat([question]).text;
    const begun = tokenizer.renderChat([question], { addGenerationPrompt: true }).text;
    const answered = tokenizer.renderChat([question, { role: 'assistant', content: ANSWER }]).text;
    const start = begun.startsWith(asked) ? begun.slice(asked.length) : '';
    return {
      start: start.trim() === '' ? textAfter(begun, QUESTION) : start,
      end: textAfter(answered, ANSWER),
    };
  } catch (error) {
    if (error instanceof TemplateError) return undefined;
    throw error;
  }
}

function textAfter(text: string, word: string): string {
  const at = text.lastIndexOf(word);
  return at < 0 ? '' : text.slice(at + word.length);
}
