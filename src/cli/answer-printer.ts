import type { GeneratedToken } from '../engine/generate/token-loop.ts';
import { type ChannelSpan, isReasoning } from '../tokenizer/channels/spans.ts';
import type { ReasoningFlags } from './reasoning-flags.ts';
import { colorsFor, printable } from './printable.ts';

/** Prints an answer to stdout as it is generated: the reasoning, dimmed or left out, the answer, and the tools that it calls. */
export class AnswerPrinter {
  readonly #hidesReasoning: boolean;
  #hidden = 0;
  /** The channel printed last. */
  #channel: string | undefined;
  #atLineStart = true;

  constructor({ reasoning }: ReasoningFlags) {
    this.#hidesReasoning = reasoning === 'hide';
  }

  /** Prints what a token adds to the answer. */
  print({ text, spans, toolCalls }: GeneratedToken): void {
    if (spans === undefined) this.#write(text);
    else for (const span of spans) this.#span(span);
    if (spans?.some((span) => isReasoning(span))) this.#hidden += 1;
    for (const { name, arguments: given } of toolCalls ?? []) {
      this.#startLine();
      this.#write(`calls ${name}(${typeof given === 'string' ? given : JSON.stringify(given)})`);
    }
  }

  /** Ends the line, and prints the number of hidden tokens to stderr. */
  end(): void {
    process.stdout.write('\n');
    if (this.#hidesReasoning && this.#hidden > 0) {
      process.stderr.write(`${colorsFor(process.stderr).dim(`reasoning: ${this.#hidden} tokens, hidden`)}\n`);
    }
  }

  #span(span: ChannelSpan): void {
    const { channel, recipient, content } = span;
    // Tool calls are printed by `print`, once they are complete.
    if (content === '' || recipient !== undefined || (isReasoning(span) && this.#hidesReasoning)) return;
    let shown = content;
    if (channel !== this.#channel) {
      shown = content.replace(/^\n+/, '');
      if (shown === '') return;
      if (this.#channel !== undefined) {
        this.#startLine();
        process.stdout.write('\n');
      }
      this.#channel = channel;
    }
    this.#write(shown, isReasoning(span));
  }

  #startLine(): void {
    if (!this.#atLineStart) process.stdout.write('\n');
    this.#atLineStart = true;
  }

  #write(text: string, dimmed = false): void {
    if (text === '') return;
    const shown = process.stdout.isTTY ? printable(text) : text;
    process.stdout.write(dimmed ? colorsFor(process.stdout).dim(shown) : shown);
    this.#atLineStart = text.endsWith('\n');
  }
}
