/** Kinds of file that are often found under the name of a GGUF file, by their first bytes. */
const KINDS: readonly (readonly [beginning: RegExp, kind: string])[] = [
  [/^.{8}\{/s, 'a safetensors file'],
  [/^version https:\/\/git-lfs/, 'a Git LFS pointer, which stands for the file: fetch it with git lfs pull'],
  [/^PK/, 'a zip archive, as PyTorch writes its weights'],
  [/^(lmgg|fmgg|tjgg)/, 'a GGML file, the format before GGUF: convert the model again'],
  [/^\s*</, 'an HTML or XML page, as a server may send when a login is missing'],
  [/^\s*[{[]/, 'JSON'],
];

/** The kind of a file that is not GGUF, by its first bytes; undefined where it is not known. */
export const kindOfFile = (begin: Buffer): string | undefined => {
  const text = begin.toString('latin1', 0, 32);
  return KINDS.find(([beginning]) => beginning.test(text))?.[1];
};
