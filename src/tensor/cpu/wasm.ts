/** What we use of WebAssembly. Its types come with lib.dom, which a library for Node does not ask of its users. */
export interface WasmMemory {
  readonly buffer: SharedArrayBuffer;
  /** By pages of 64 KiB; throws where the system has no more. */
  grow(pages: number): number;
}

export type WasmModule = object;

interface WasmApi {
  readonly Memory: new (limits: { initial: number; maximum: number; shared: true }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array) => WasmModule;
  readonly Instance: new (module: WasmModule, imports: object) => { readonly exports: unknown };
}

export const { WebAssembly: Wasm } = globalThis as unknown as { WebAssembly: WasmApi };
