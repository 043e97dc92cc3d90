import { describe, expect, it } from 'vitest';
import { parseChannels } from '../../src/tokenizer/channels/parser.ts';
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

describe('parseToolCalls', () => {
  it.each(SPELLED)('reads %s', (_, text, calls) => {
    expect(parseToolCalls(text)).toEqual(calls);
  });

  it('reads harmony messages with a recipient', () => {
    const text = `<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>${json}<|call|><|start|>assistant<|channel|>analysis to=python code<|message|>1 + 1<|call|><|start|>functions.f to=assistant<|channel|>commentary<|message|>1<|end|>`;
    expect(parseToolCalls(parseChannels('harmony', text))).toEqual([f, { name: 'python', arguments: '1 + 1' }]);
  });
});
