/** Other files that come under the name of a GGUF file, by their first bytes. */
const OTHERS: readonly (readonly [begins: RegExp, what: string])[] = [
  [/^.{8}\{/s, 'a safetensors file'],
  [/^version https:\/\/git-lfs/, 'a Git LFS pointer, in place of the file itself: fetch it with git lfs pull'],
  [/^PK/, 'a zip archive, as PyTorch writes its weights'],
  [/^(lmgg|fmgg|tjgg)/, 'a GGML file from before GGUF: convert the model again'],
  [/^\s*</, 'an HTML or XML page, as a download without a login brings'],
  [/^\s*[{[]/, 'JSON'],
];

/** What a file is that does not begin as a GGUF file; undefined where that is not known. */
export const otherFile = (begin: Buffer): string | undefined => {
  const text = begin.toString('latin1', 0, 32);
  return OTHERS.find(([begins]) => begins.test(text))?.[1];
};
