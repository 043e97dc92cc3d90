import { describe, expect, it } from 'vitest';
import { parseChannels } from '../../src/tokenizer/channels/channel-parser.ts';
import { parseToolCalls } from '../../src/tokenizer/tool-calls.ts';

const f = { name: 'f', arguments: { a: [1, 'é'] } };
const g = { name: 'g', arguments: {} };
const json = '{"a": [1, "é"]}';

const SPELLED: [string, string, unknown[]][] = [
  ['Hermes and Qwen', `Let me see.\n<tool_call>\n{"name": "f", "arguments": ${json}}\n</tool_call>\n<tool_call>{"name": "g", "arguments": {}}</tool_call>`, [f, g]], // prettier-ignore
  ['arguments as text', '<tool_call>{"name": "g", "arguments": "{}"}</tool_call>', [g]],
  ['DeepSeek R1', `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n\`\`\`json\n${json}\n\`\`\`<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n\`\`\`json\n{}\n\`\`\`<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜>`, [f, g]], // prettier-ignore
  ['DeepSeek V3.1', `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>${json}<｜tool▁call▁end｜><｜tool▁calls▁end｜>`, [f]], // prettier-ignore
  ['Mistral', `[TOOL_CALLS][{"name": "f", "arguments": ${json}}, {"name": "g", "arguments": {}}]</s>`, [f, g]],
  ['Llama 3', `{"name": "f", "parameters": ${json}}<|eot_id|>`, [f]],
  ['Llama 3 behind its tag', `<|python_tag|>{"type": "function", "name": "g", "parameters": {}}<|eom_id|>`, [g]],
  ['text', 'No tools here: {"name": "f"}.', []],
  ['an object that is an answer', '{"name": "Ada", "parameters": 3, "age": 36}', []],
  ['a call that was cut off', '<tool_call>{"name": "f", "argu', []],
  ['a call that is no JSON', '<tool_call>{"name": f}</tool_call>', []],
];

const tagged = (name: string) => `<tool_call>{"name": "${name}", "arguments": {}}</tool_call>`;
const deepSeek = (name: string) => `<｜tool▁call▁begin｜>${name}<｜tool▁sep｜>{}<｜tool▁call▁end｜>`;
const mistral = (name: string) => `[TOOL_CALLS][{"name": "${name}", "arguments": {}}]`;
const llama = (name: string) => `<|python_tag|>{"name": "${name}", "parameters": {}}`;
const quoting = { name: 'write', arguments: { text: 'a</think>b' } };

describe('parseToolCalls', () => {
  it.each([tagged, deepSeek, mistral, llama])('ignores calls in reasoning: %s', (spell) => {
    expect(parseToolCalls(`<think>maybe ${spell('f')}</think>No.`)).toEqual([]);
    expect(parseToolCalls(`<think>${spell('f')}</think>${spell('g')}`)).toEqual([g]);
    expect(parseToolCalls(`\n<think>${spell('f')}`)).toEqual([]);
    // The opening tag is in the prompt.
    expect(parseToolCalls(`maybe ${spell('f')}</think>No.`)).toEqual([]);
    expect(parseToolCalls(`${spell('f')}</think>${spell('g')}`)).toEqual([g]);
  });

  it.each([
    `<tool_call>${JSON.stringify(quoting)}</tool_call>`,
    `<｜tool▁call▁begin｜>write<｜tool▁sep｜>{"text": "a</think>b"}<｜tool▁call▁end｜>`,
    `[TOOL_CALLS]${JSON.stringify([quoting])}`,
    JSON.stringify({ name: 'write', parameters: quoting.arguments }),
  ])('keeps tags within arguments as text: %s', (text) => {
    expect(parseToolCalls(text)).toEqual([quoting]);
    expect(parseToolCalls(`<think>x</think>${text}`)).toEqual([quoting]);
  });

  it.each([tagged, deepSeek])('ignores calls in code: %s', (spell) => {
    expect(parseToolCalls(`Like this:\n\`\`\`xml\n${spell('f')}\n\`\`\`\nDone.`)).toEqual([]);
    expect(parseToolCalls(`~~~\n\`\`\`\n${spell('f')}\n~~~\n${spell('g')}`)).toEqual([g]);
    expect(parseToolCalls(`\`\`\`\nx\n\`\`\`\n${spell('g')}`)).toEqual([g]);
    expect(parseToolCalls(`a \`\`\` b ${spell('g')}`)).toEqual([g]);
    expect(parseToolCalls(`> \`\`\`\n> ${spell('f')}\n> \`\`\`\n${spell('g')}`)).toEqual([g]);
    expect(parseToolCalls(`1. a\n   - b\n     ~~~\n     ${spell('f')}\n     ~~~\n${spell('g')}`)).toEqual([g]);
    expect(parseToolCalls(`- \`\`\`\n  ${spell('f')}\n  \`\`\`\n${spell('g')}`)).toEqual([g]);
    expect(parseToolCalls(`Write \`${spell('f')}\`, then \`x\`${spell('g')}`)).toEqual([g]);
  });

  it.each(SPELLED)('reads the calls of %s', (_, text, calls) => {
    expect(parseToolCalls(text)).toEqual(calls);
  });

  it('reads harmony messages with a recipient', () => {
    const text = `<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>${json}<|call|><|start|>assistant<|channel|>analysis to=python code<|message|>1 + 1<|call|><|start|>functions.f to=assistant<|channel|>commentary<|message|>1<|end|>`;
    expect(parseToolCalls(parseChannels('harmony', text))).toEqual([f, { name: 'python', arguments: '1 + 1' }]);
  });
});
